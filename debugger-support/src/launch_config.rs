//! Launch configurations for editors: entries for the `configurations` of VS Code's `.vscode/launch.json`.

use std::ffi::OsString;

use serde_json::{Value, json};

use crate::command::{DebugSession, Debugger, Target};

/// An extension for VS Code that drives a debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Editor {
    /// Microsoft's C/C++ extension, `ms-vscode.cpptools`, which drives gdb.
    CppTools,
    /// CodeLLDB, `vadimcn.vscode-lldb`, which has an lldb of its own.
    CodeLldb,
}

impl Editor {
    /// The debugger that it drives.
    pub fn debugger(self) -> Debugger {
        match self {
            Self::CppTools => Debugger::Gdb,
            Self::CodeLldb => Debugger::Lldb,
        }
    }
}

/// The configuration that does in an editor what [`DebugSession::argv`] does at a prompt, as JSON. `environment` is set for
/// the debugged process. The session's extra arguments are for a debugger's command line and have no place in it.
pub fn launch_config(editor: Editor, name: &str, session: &DebugSession, environment: &[(&str, &str)]) -> String {
    let text = |text: &OsString| text.to_string_lossy().into_owned();
    let mut config = match editor {
        Editor::CppTools => json!({
            "name": name,
            "type": "cppdbg",
            "MIMode": "gdb",
            "miDebuggerPath": session.program.to_string_lossy(),
            "program": session.executable.to_string_lossy(),
            "setupCommands": cpptools_commands(session),
        }),
        Editor::CodeLldb => json!({
            "name": name,
            "type": "lldb",
            "program": session.executable.to_string_lossy(),
            "initCommands": session.setup_commands().iter().map(text).collect::<Vec<_>>(),
            "preRunCommands": session.breakpoint_commands(),
        }),
    };
    match &session.target {
        Target::Launch(arguments) => {
            config["request"] = json!("launch");
            config["args"] = arguments.iter().map(text).collect();
            match editor {
                Editor::CppTools => {
                    config["environment"] =
                        environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                }
                Editor::CodeLldb => {
                    config["env"] = Value::Object(environment.iter().map(|(k, v)| (k.to_string(), json!(v))).collect());
                }
            }
        }
        Target::Attach(pid) => {
            config["request"] = json!("attach");
            let key = if editor == Editor::CppTools { "processId" } else { "pid" };
            config[key] = json!(pid);
        }
        Target::Core(file) => {
            let file = file.to_string_lossy();
            config["request"] = json!("launch");
            match editor {
                Editor::CppTools => config["coreDumpPath"] = json!(file),
                Editor::CodeLldb => {
                    let program = session.executable.to_string_lossy();
                    config["targetCreateCommands"] = json!([format!("target create --core \"{file}\" \"{program}\"")]);
                    config["processCreateCommands"] = json!([]);
                }
            }
        }
        Target::Remote(address) => match editor {
            Editor::CppTools => {
                config["request"] = json!("launch");
                config["miDebuggerServerAddress"] = json!(address);
            }
            Editor::CodeLldb => {
                config["request"] = json!("attach");
                config["processCreateCommands"] = json!([format!("gdb-remote {address}")]);
            }
        },
    }
    if config["request"] == "launch" {
        config["cwd"] = json!("${workspaceFolder}");
        let is_core = matches!(session.target, Target::Core(_));
        if editor == Editor::CppTools && !is_core && !session.breakpoints.is_empty() {
            // The extension takes the first stop at a breakpoint that is not the editor's own for that at the program's entry,
            // and goes on from there unless it is to stop at the entry.
            config["stopAtEntry"] = json!(true);
            // What is stopped at later is called an exception otherwise.
            config["unknownBreakpointHandling"] = json!("stop");
        }
    }
    format!("{config:#}")
}

/// What gdb is told before the program runs.
fn cpptools_commands(session: &DebugSession) -> Vec<Value> {
    // The extension's views are variable objects of gdb's machine interface, which show what is in containers only after this.
    let printers = json!({"text": "-enable-pretty-printing", "ignoreFailures": true});
    let commands = session.setup_commands().into_iter().map(|command| command.to_string_lossy().into_owned());
    let commands = commands.chain(session.breakpoint_commands());
    let others = commands.map(|command| json!({"text": command, "ignoreFailures": false}));
    std::iter::once(printers).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(editor: Editor, target: Target) -> DebugSession {
        DebugSession {
            debugger: editor.debugger(),
            program: "/usr/bin/gdb".into(),
            executable: "/bin/wasmscope".into(),
            target,
            helpers: "/home/a b/helpers.py".into(),
            breakpoints: vec!["list.c:12".to_owned()],
            extra: Vec::new(),
        }
    }

    fn config(editor: Editor, target: Target) -> Value {
        let text = launch_config(editor, "Debug list.wasm", &session(editor, target), &[("SERVED", "1")]);
        serde_json::from_str(&text).expect("it is JSON")
    }

    fn launch() -> Target {
        Target::Launch(vec!["run".into(), "-g".into(), "a \"quoted\" name.wasm".into()])
    }

    #[test]
    fn cpptools_sets_gdb_up_before_the_program_runs() {
        let config = config(Editor::CppTools, launch());
        assert_eq!(config["type"], "cppdbg");
        assert_eq!(config["request"], "launch");
        assert_eq!(config["args"], json!(["run", "-g", "a \"quoted\" name.wasm"]));
        assert_eq!(config["environment"], json!([{"name": "SERVED", "value": "1"}]));
        let commands: Vec<&str> =
            config["setupCommands"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
        assert!(commands.contains(&"set breakpoint pending on"), "{commands:?}");
        assert!(commands.contains(&"source /home/a b/helpers.py"), "{commands:?}");
        assert_eq!(commands.last(), Some(&"break list.c:12"));
        assert_eq!(config["unknownBreakpointHandling"], "stop");
        assert_eq!(config["cwd"], "${workspaceFolder}");
    }

    /// Its views are variable objects, which use printers only if they are told to.
    #[test]
    fn cpptools_shows_what_is_in_containers() {
        for target in [launch(), Target::Attach(12), Target::Remote(":1".to_owned()), Target::Core("core".into())] {
            let commands = config(Editor::CppTools, target)["setupCommands"].take();
            assert_eq!(commands[0], json!({"text": "-enable-pretty-printing", "ignoreFailures": true}));
        }
    }

    /// The first of these stops is the one at the entry, to the extension.
    #[test]
    fn cpptools_stops_at_the_breakpoints_of_the_command_line() {
        assert_eq!(config(Editor::CppTools, launch())["stopAtEntry"], true);
        assert_eq!(config(Editor::CppTools, Target::Remote(":1".to_owned()))["stopAtEntry"], true);
        assert_eq!(config(Editor::CppTools, Target::Core("core".into()))["stopAtEntry"], Value::Null);
        let without = DebugSession { breakpoints: Vec::new(), ..session(Editor::CppTools, launch()) };
        let text = launch_config(Editor::CppTools, "Debug list.wasm", &without, &[]);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["stopAtEntry"], Value::Null);
    }

    /// What the extensions' schemas list for an attached process; VS Code warns of everything else.
    #[test]
    fn an_attached_process_has_no_directory_to_start_in() {
        for editor in [Editor::CppTools, Editor::CodeLldb] {
            let config = config(editor, Target::Attach(12));
            for key in ["cwd", "unknownBreakpointHandling", "stopAtEntry"] {
                assert_eq!(config[key], Value::Null, "{key}");
            }
        }
    }

    #[test]
    fn codelldb_loads_the_jit_interface_and_the_helpers() {
        let config = config(Editor::CodeLldb, launch());
        assert_eq!(config["type"], "lldb");
        assert_eq!(config["env"], json!({"SERVED": "1"}));
        assert_eq!(config["initCommands"][0], "settings set plugin.jit-loader.gdb.enable on");
        assert_eq!(config["initCommands"][1], "command script import \"/home/a b/helpers.py\"");
        assert_eq!(config["preRunCommands"][0], "breakpoint set --file \"list.c\" --line 12");
    }

    #[test]
    fn processes_that_run_already_are_attached_to() {
        assert_eq!(config(Editor::CodeLldb, Target::Attach(12))["pid"], 12);
        assert_eq!(config(Editor::CppTools, Target::Attach(12))["processId"], 12);
        let remote = config(Editor::CodeLldb, Target::Remote("localhost:1234".to_owned()));
        assert_eq!(remote["processCreateCommands"][0], "gdb-remote localhost:1234");
    }

    #[test]
    fn core_files_are_opened_instead_of_started() {
        assert_eq!(config(Editor::CppTools, Target::Core("/tmp/core".into()))["coreDumpPath"], "/tmp/core");
        let lldb = config(Editor::CodeLldb, Target::Core("/tmp/a core".into()));
        assert_eq!(lldb["targetCreateCommands"][0], "target create --core \"/tmp/a core\" \"/bin/wasmscope\"");
        assert_eq!(lldb["processCreateCommands"], json!([]));
    }
}
