//! The object that debuggers are given for several modules, read by llvm-dwarfdump: it says what the objects of the single
//! modules say.

use std::fs;
use std::path::Path;

use artifact::{Artifact, LoadedModule, joint_image, registered_image};
use tests::{compile, programs, tool};

/// What llvm-dwarfdump says of a section, without the offsets (eight digits or small; addresses are large).
fn dump(path: &Path, section: &str) -> Vec<String> {
    let output = tool("llvm-dwarfdump-19", "llvm-19").arg(section).arg(path).output().expect("llvm-dwarfdump starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let is_offset = |word: &str| {
        let digits = word.strip_prefix("0x").unwrap_or(word);
        let short = digits.len() == 8 || digits.len() == 4 && word.starts_with("0x") || digits.starts_with("00000000");
        short && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let without_offsets = |line: &str| {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !is_offset(word));
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    text.lines().skip(1).map(without_offsets).filter(|line| !line.is_empty()).collect()
}

#[test]
fn one_object_for_several_modules_says_what_their_own_say() {
    let scratch = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, program) in ["cxx-O2", "rust-O2", "c-O0", "cxx-O2"].into_iter().enumerate() {
        let file = scratch.path().join(number.to_string());
        compile(&programs().join(format!("abilities/{program}.wasm")), &[], &file);
        files.push(fs::read(&file).unwrap());
    }
    let artifacts: Vec<_> = files.iter().map(|file| Artifact::parse(file).unwrap()).collect();
    let modules: Vec<_> = artifacts
        .iter()
        .enumerate()
        .map(|(number, artifact)| LoadedModule {
            artifact,
            // The last lies before the others.
            text_address: 0x7f12_3400_0000 + [1, 2, 3, 0][number] * 0x10_0000,
            cell_address: 0x5555_5678_0000 + 16 * number as u64,
        })
        .collect();
    let joint = scratch.path().join("joint");
    fs::write(&joint, joint_image(&modules).unwrap()).unwrap();
    for section in ["--debug-info", "--debug-line", "--debug-rnglists", "--debug-loclists", "--eh-frame"] {
        let mut expected = Vec::new();
        for &module in &modules {
            let single = scratch.path().join("single");
            fs::write(&single, registered_image(module).unwrap()).unwrap();
            expected.extend(dump(&single, section));
        }
        let mut found = dump(&joint, section);
        for lines in [&mut expected, &mut found] {
            // The titles and the frame table's end are one for all.
            lines.retain(|line| !line.ends_with("contents") && line != "ZERO terminator");
        }
        assert!(found.len() > 1000, "{section} says little: {found:?}");
        let difference = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        assert_eq!(difference, None, "{section}");
        assert_eq!(expected.len(), found.len(), "{section}");
    }
    let output = tool("llvm-dwarfdump-19", "llvm-19").arg("--verify").arg(&joint).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
