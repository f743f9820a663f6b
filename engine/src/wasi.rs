//! The system interface of guest programs: WASI preview 1, and preview 0 (`wasi_unstable`) which old toolchains emit.
//!
//! [`SystemInterface`] is what the engine knows: a list of functions and one way to call them. [`Wasi`] is the
//! implementation, and this module is the only one that names the crates it is made with.

use crate::types::{FuncType, ValType};
use crate::{Caller, Error, Extern, Linker, Result as EngineResult, Val};
use std::cell::UnsafeCell;
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasi_common::pipe::{ReadPipe, WritePipe};
use wasi_common::snapshots::{preview_0, preview_1};
use wasi_common::sync::{Dir, WasiCtxBuilder, ambient_authority, stdio};
use wasi_common::{WasiCtx, WasiFile};
use wiggle::GuestMemory;

/// A function that a guest can import from the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemFunction {
    /// The import's module name.
    pub module: &'static str,
    /// The import's field name.
    pub name: &'static str,
    /// The types of the parameters.
    pub params: &'static [ValType],
    /// The types of the results: one `i32` with an error number, or none where the function does not return.
    pub results: &'static [ValType],
}

/// The guest's linear memory during a call.
#[derive(Debug)]
pub enum LinearMemory<'a> {
    /// Nobody else has access.
    Exclusive(&'a mut [u8]),
    /// Other threads may read and write at any time.
    Shared(&'a [UnsafeCell<u8>]),
}

/// The guest does not go on after a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SystemStop {
    /// The guest asked to end with this status.
    #[error("exit with status {0}")]
    Exit(i32),
    /// The call cannot be answered, not even with an error number.
    #[error("{0}")]
    Failure(String),
}

/// The functions of an operating system, to be called by a guest.
pub trait SystemInterface: Send {
    /// The functions that there are.
    fn functions(&self) -> &'static [SystemFunction];

    /// Calls the function at place `function` of [`functions`](SystemInterface::functions).
    ///
    /// `arguments` holds each value's bits and must match the function's parameters in number and type. `memory` is
    /// the memory that the guest exports as `memory`; every pointer among the arguments is checked against it.
    ///
    /// # Errors
    ///
    /// [`SystemStop`] when the guest must not go on. A failure that the guest is told of (no such file, ...) is an
    /// error number, hence a result.
    fn call(&mut self, function: usize, memory: LinearMemory<'_>, arguments: &[u64]) -> Result<i32, SystemStop>;
}

type Call = fn(&mut WasiCtx, &mut GuestMemory<'_>, &[u64]) -> Result<i32, SystemStop>;

/// How the bits of an argument become a parameter of the implementation.
macro_rules! parameter {
    ($arguments:ident, I32) => {
        $arguments.next().unwrap_or_default() as i32
    };
    ($arguments:ident, I64) => {
        $arguments.next().unwrap_or_default() as i64
    };
}

/// Makes the two tables from one list, so that a function cannot be at different places in them.
macro_rules! system_functions {
    ($($snapshot:ident :: $module:ident { $($name:ident($($ty:ident),*);)* })*) => {
        static FUNCTIONS: &[SystemFunction] = &[
            $($(SystemFunction {
                module: stringify!($module),
                name: stringify!($name),
                params: &[$(ValType::$ty),*],
                results: &[ValType::I32],
            },)*
            SystemFunction {
                module: stringify!($module),
                name: "proc_exit",
                params: &[ValType::I32],
                results: &[],
            },)*
        ];

        static CALLS: &[Call] = &[
            $($(|context, memory, arguments| {
                let mut arguments = arguments.iter().copied();
                let _ = &mut arguments;
                ready($snapshot::$module::$name(context, memory, $(parameter!(arguments, $ty)),*))
            },)*
            exit,)*
        ];
    };
}

/// Preview 0 has the functions of preview 1 but for one, with the same parameters.
macro_rules! both_previews {
    ($($shared:tt)*) => {
        system_functions! {
            preview_1::wasi_snapshot_preview1 {
                $($shared)*
                sock_accept(I32, I32, I32);
            }
            preview_0::wasi_unstable {
                $($shared)*
            }
        }
    };
}

both_previews! {
    args_get(I32, I32);
    args_sizes_get(I32, I32);
    environ_get(I32, I32);
    environ_sizes_get(I32, I32);
    clock_res_get(I32, I32);
    clock_time_get(I32, I64, I32);
    fd_advise(I32, I64, I64, I32);
    fd_allocate(I32, I64, I64);
    fd_close(I32);
    fd_datasync(I32);
    fd_fdstat_get(I32, I32);
    fd_fdstat_set_flags(I32, I32);
    fd_fdstat_set_rights(I32, I64, I64);
    fd_filestat_get(I32, I32);
    fd_filestat_set_size(I32, I64);
    fd_filestat_set_times(I32, I64, I64, I32);
    fd_pread(I32, I32, I32, I64, I32);
    fd_prestat_get(I32, I32);
    fd_prestat_dir_name(I32, I32, I32);
    fd_pwrite(I32, I32, I32, I64, I32);
    fd_read(I32, I32, I32, I32);
    fd_readdir(I32, I32, I32, I64, I32);
    fd_renumber(I32, I32);
    fd_seek(I32, I64, I32, I32);
    fd_sync(I32);
    fd_tell(I32, I32);
    fd_write(I32, I32, I32, I32);
    path_create_directory(I32, I32, I32);
    path_filestat_get(I32, I32, I32, I32, I32);
    path_filestat_set_times(I32, I32, I32, I32, I64, I64, I32);
    path_link(I32, I32, I32, I32, I32, I32, I32);
    path_open(I32, I32, I32, I32, I32, I64, I64, I32, I32);
    path_readlink(I32, I32, I32, I32, I32, I32);
    path_remove_directory(I32, I32, I32);
    path_rename(I32, I32, I32, I32, I32, I32);
    path_symlink(I32, I32, I32, I32, I32);
    path_unlink_file(I32, I32, I32);
    poll_oneoff(I32, I32, I32, I32);
    proc_raise(I32);
    sched_yield();
    random_get(I32, I32);
    sock_recv(I32, I32, I32, I32, I32, I32);
    sock_send(I32, I32, I32, I32, I32);
    sock_shutdown(I32, I32);
}

/// `proc_exit`. Not the implementation's, which refuses a status above 125.
fn exit(_: &mut WasiCtx, _: &mut GuestMemory<'_>, arguments: &[u64]) -> Result<i32, SystemStop> {
    Err(SystemStop::Exit(arguments.first().copied().unwrap_or_default() as i32))
}

/// The value of a future that never waits, as those of the synchronous implementation.
fn ready(call: impl Future<Output = wiggle::error::Result<i32>>) -> Result<i32, SystemStop> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map_err(|error| SystemStop::Failure(format!("{error:#}"))),
        Poll::Pending => Err(SystemStop::Failure("the system call waits for something that nobody drives".to_owned())),
    }
}

/// Defines the functions of a system interface under their names, so that guests can import them.
///
/// `functions` are those of the interface that `system` finds in the embedder's data. A guest's pointers are addresses in
/// the memory that it exports as `memory`. Where the guest must not go on, the error's cause is a [`SystemStop`].
///
/// ```
/// use wasmscope::wasi::{SystemInterface, SystemStop, Wasi, add_to_linker};
/// use wasmscope::{Engine, Linker, Module, Store};
///
/// let engine = Engine::default();
/// let wasi = Wasi::builder().build();
/// let mut linker = Linker::<Wasi>::new(&engine);
/// add_to_linker(&mut linker, wasi.functions(), |wasi| wasi)?;
/// let module = Module::new(&engine, r#"(module
///     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
///     (func (export "_start") (call $exit (i32.const 3))))"#)?;
/// let mut store = Store::new(&engine, wasi);
/// let start = linker.instantiate(&mut store, &module)?.get_typed_func::<(), ()>(&mut store, "_start")?;
/// let error = start.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref::<SystemStop>(), Some(&SystemStop::Exit(3)));
/// # Ok::<(), wasmscope::Error>(())
/// ```
///
/// # Errors
///
/// If one of the names is defined already.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    functions: &[SystemFunction],
    system: fn(&mut T) -> &mut dyn SystemInterface,
) -> EngineResult<()> {
    for (number, function) in functions.iter().enumerate() {
        let ty = FuncType::new(function.params.iter().copied(), function.results.iter().copied());
        linker.func_new(function.module, function.name, ty, move |mut caller: Caller<'_, T>, params, results| {
            let arguments: Vec<u64> = params
                .iter()
                .map(|param| match *param {
                    Val::I32(value) => u64::from(value as u32),
                    Val::I64(value) => value as u64,
                    ref other => unreachable!("the function's type has no {other:?}"),
                })
                .collect();
            let error_number = match caller.get_export("memory") {
                Some(Extern::Memory(memory)) => {
                    let (bytes, data) = memory.data_and_store_mut(&mut caller);
                    system(data).call(number, LinearMemory::Exclusive(bytes), &arguments)
                }
                Some(Extern::SharedMemory(memory)) => {
                    let bytes = memory.data();
                    // SAFETY: an atomic byte has the layout of the byte and can be written through a shared reference,
                    // as a cell can.
                    let cells = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) };
                    system(caller.data_mut()).call(number, LinearMemory::Shared(cells), &arguments)
                }
                _ => system(caller.data_mut()).call(number, LinearMemory::Exclusive(&mut []), &arguments),
            };
            let error_number = error_number.map_err(Error::new)?;
            if let Some(result) = results.first_mut() {
                *result = Val::I32(error_number);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What a program is started with cannot be given to it.
#[derive(Debug, thiserror::Error)]
pub enum WasiError {
    /// Strings of a guest are UTF-8.
    #[error("the {what} `{}` is not valid UTF-8, as guest programs demand it", .string.display())]
    NotUtf8 {
        /// What the string was meant for.
        what: &'static str,
        /// The string.
        string: OsString,
    },
    /// Guests pass sizes in 32 bits.
    #[error("the program's arguments and environment do not fit into 4 GiB")]
    TooLarge,
    /// A directory that is to be passed cannot be opened.
    #[error("the directory `{}` cannot be opened: {cause}", .path.display())]
    Directory {
        /// The directory's path.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The implementation refused.
    #[error("the directory `{}` cannot be passed to the program: {cause}", .path.display())]
    Preopen {
        /// The directory's path.
        path: PathBuf,
        /// What the implementation says.
        cause: String,
    },
}

/// Collects what a guest program is started with.
///
/// Without further calls the program has no arguments, an empty environment, empty standard input, no directories,
/// and what it writes vanishes. Clocks and random numbers are always there.
///
/// ```
/// use wasmscope::wasi::{LinearMemory, SystemInterface, Wasi};
///
/// let mut builder = Wasi::builder();
/// builder.arg("program.wasm")?.env("LANG", "C")?;
/// let mut wasi = builder.build();
/// let args_sizes_get = wasi.functions().iter().position(|function| function.name == "args_sizes_get").unwrap();
/// let mut memory = [0; 8];
/// assert_eq!(wasi.call(args_sizes_get, LinearMemory::Exclusive(&mut memory), &[0, 4]), Ok(0));
/// assert_eq!(memory, [1, 0, 0, 0, 13, 0, 0, 0]); // one argument; 13 bytes with the closing zero
/// # Ok::<(), wasmscope::wasi::WasiError>(())
/// ```
pub struct WasiBuilder {
    context: WasiCtxBuilder,
}

impl WasiBuilder {
    /// Adds an argument; the first is the program's name.
    ///
    /// # Errors
    ///
    /// When it is not UTF-8 or far too long.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> Result<&mut Self, WasiError> {
        self.context.arg(utf8("argument", argument.as_ref())?).map_err(|_| WasiError::TooLarge)?;
        Ok(self)
    }

    /// Adds a variable to the environment.
    ///
    /// # Errors
    ///
    /// When it is not UTF-8 or far too long.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Result<&mut Self, WasiError> {
        let name = utf8("environment variable", name.as_ref())?;
        let value = utf8("environment variable", value.as_ref())?;
        self.context.env(name, value).map_err(|_| WasiError::TooLarge)?;
        Ok(self)
    }

    /// Gives the guest access to the directory `host`, which it sees as `guest`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened.
    pub fn dir(&mut self, host: impl AsRef<Path>, guest: impl AsRef<Path>) -> Result<&mut Self, WasiError> {
        let path = host.as_ref();
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .map_err(|cause| WasiError::Directory { path: path.to_owned(), cause })?;
        self.context
            .preopened_dir(dir, guest)
            .map_err(|cause| WasiError::Preopen { path: path.to_owned(), cause: cause.to_string() })?;
        Ok(self)
    }

    /// Connects the three standard streams to those of this process.
    pub fn inherit_stdio(&mut self) -> &mut Self {
        self.file(0, Box::new(stdio::stdin()));
        self.file(1, Box::new(stdio::stdout()));
        self.file(2, Box::new(stdio::stderr()));
        self
    }

    /// Where the guest's standard input comes from.
    pub fn stdin(&mut self, reader: impl Read + Send + Sync + 'static) -> &mut Self {
        self.file(0, Box::new(ReadPipe::new(reader)))
    }

    /// Where the guest's standard output goes.
    pub fn stdout(&mut self, writer: impl Write + Send + Sync + 'static) -> &mut Self {
        self.file(1, Box::new(WritePipe::new(writer)))
    }

    /// Where the guest's standard error goes.
    pub fn stderr(&mut self, writer: impl Write + Send + Sync + 'static) -> &mut Self {
        self.file(2, Box::new(WritePipe::new(writer)))
    }

    fn file(&mut self, descriptor: u32, file: Box<dyn WasiFile>) -> &mut Self {
        match descriptor {
            0 => self.context.stdin(file),
            1 => self.context.stdout(file),
            _ => self.context.stderr(file),
        };
        self
    }

    /// The finished system interface.
    #[must_use]
    pub fn build(mut self) -> Wasi {
        Wasi { context: self.context.build() }
    }
}

fn utf8<'a>(what: &'static str, string: &'a OsStr) -> Result<&'a str, WasiError> {
    string.to_str().ok_or_else(|| WasiError::NotUtf8 { what, string: string.to_owned() })
}

/// WASI for one guest program: its arguments, environment, open files, clocks and random numbers.
pub struct Wasi {
    context: WasiCtx,
}

impl Wasi {
    /// Starts to collect what a program is started with.
    #[must_use]
    pub fn builder() -> WasiBuilder {
        WasiBuilder { context: WasiCtxBuilder::new() }
    }
}

impl SystemInterface for Wasi {
    fn functions(&self) -> &'static [SystemFunction] {
        FUNCTIONS
    }

    fn call(&mut self, function: usize, memory: LinearMemory<'_>, arguments: &[u64]) -> Result<i32, SystemStop> {
        let call = CALLS
            .get(function)
            .ok_or_else(|| SystemStop::Failure(format!("there is no system function with number {function}")))?;
        let mut memory = match memory {
            LinearMemory::Exclusive(bytes) => GuestMemory::Unshared(bytes),
            LinearMemory::Shared(bytes) => GuestMemory::Shared(bytes),
        };
        call(&mut self.context, &mut memory, arguments).map_err(|stop| match stop {
            SystemStop::Failure(reason) => SystemStop::Failure(format!("{}: {reason}", FUNCTIONS[function].name)),
            exit @ SystemStop::Exit(_) => exit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    const ERRNO_BADF: i32 = 8;
    const ERRNO_NOENT: i32 = 44;

    fn number(module: &str, name: &str) -> usize {
        FUNCTIONS.iter().position(|function| function.module == module && function.name == name).unwrap()
    }

    fn call(wasi: &mut Wasi, name: &str, memory: &mut [u8], arguments: &[u64]) -> Result<i32, SystemStop> {
        wasi.call(number("wasi_snapshot_preview1", name), LinearMemory::Exclusive(memory), arguments)
    }

    fn word(memory: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(memory[at..at + 4].try_into().unwrap())
    }

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn both_tables_have_the_same_length() {
        assert_eq!(FUNCTIONS.len(), CALLS.len());
    }

    #[test]
    fn written_bytes_arrive_at_the_stream() {
        let output = Captured::default();
        let mut builder = Wasi::builder();
        builder.stdout(output.clone());
        let mut wasi = builder.build();
        let mut memory = [0; 32];
        memory[0..4].copy_from_slice(&16_u32.to_le_bytes());
        memory[4..8].copy_from_slice(&5_u32.to_le_bytes());
        memory[16..21].copy_from_slice(b"hello");
        assert_eq!(call(&mut wasi, "fd_write", &mut memory, &[1, 0, 1, 8]), Ok(0));
        assert_eq!(word(&memory, 8), 5);
        assert_eq!(*output.0.lock().unwrap(), b"hello");
    }

    #[test]
    fn input_is_read_into_memory() {
        let mut builder = Wasi::builder();
        builder.stdin(io::Cursor::new(b"abc".to_vec()));
        let mut wasi = builder.build();
        let mut memory = [0; 32];
        memory[0..4].copy_from_slice(&16_u32.to_le_bytes());
        memory[4..8].copy_from_slice(&10_u32.to_le_bytes());
        assert_eq!(call(&mut wasi, "fd_read", &mut memory, &[0, 0, 1, 8]), Ok(0));
        assert_eq!(word(&memory, 8), 3);
        assert_eq!(&memory[16..20], b"abc\0");
    }

    #[test]
    fn pointers_outside_the_memory_stop_the_guest() {
        let mut wasi = Wasi::builder().build();
        let mut memory = [0; 16];
        for (name, arguments) in
            [("args_sizes_get", [0, 16]), ("random_get", [0, 17]), ("random_get", [0xffff_fff0, 0x20])]
        {
            let stop = call(&mut wasi, name, &mut memory, &arguments);
            assert!(
                matches!(&stop, Err(SystemStop::Failure(text)) if text.contains(name) && text.contains("Pointer")),
                "{stop:?}"
            );
        }
        assert_eq!(call(&mut wasi, "random_get", &mut memory, &[0, 16]), Ok(0));
    }

    #[test]
    fn closed_and_unknown_descriptors_are_bad() {
        let mut wasi = Wasi::builder().build();
        assert_eq!(call(&mut wasi, "fd_close", &mut [], &[1]), Ok(0));
        assert_eq!(call(&mut wasi, "fd_close", &mut [], &[1]), Ok(ERRNO_BADF));
        assert_eq!(call(&mut wasi, "fd_sync", &mut [], &[77]), Ok(ERRNO_BADF));
    }

    #[test]
    fn every_exit_status_is_passed_on() {
        let mut wasi = Wasi::builder().build();
        for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
            for status in [0, 1, 125, 126, 255, -1] {
                let bits = u64::from(status as u32);
                let stop = wasi.call(number(module, "proc_exit"), LinearMemory::Exclusive(&mut []), &[bits]);
                assert_eq!(stop, Err(SystemStop::Exit(status)));
            }
        }
    }

    #[test]
    fn directories_are_opened_below_their_guest_name_only() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "content").unwrap();
        std::fs::create_dir(directory.path().join("inner")).unwrap();
        let mut builder = Wasi::builder();
        builder.dir(directory.path().join("inner"), "/data").unwrap();
        let mut wasi = builder.build();
        let mut memory = [0; 64];
        assert_eq!(call(&mut wasi, "fd_prestat_get", &mut memory, &[3, 0]), Ok(0));
        assert_eq!(word(&memory, 4), 5);
        assert_eq!(call(&mut wasi, "fd_prestat_dir_name", &mut memory, &[3, 8, 5]), Ok(0));
        assert_eq!(&memory[8..13], b"/data");
        memory[16..23].copy_from_slice(b"../file");
        let read = 1 << 1;
        let outside = call(&mut wasi, "path_open", &mut memory, &[3, 0, 16, 7, 0, read, 0, 0, 32]).unwrap();
        assert!(outside != 0 && outside != ERRNO_NOENT, "errno {outside}");
        let missing = call(&mut wasi, "path_open", &mut memory, &[3, 0, 19, 4, 0, read, 0, 0, 32]);
        assert_eq!(missing, Ok(ERRNO_NOENT));
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Wasi::builder().dir("/nonexistent/x", "x").map(drop).unwrap_err().to_string();
        assert!(error.contains("`/nonexistent/x`") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn arguments_must_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let error = Wasi::builder().arg(OsStr::from_bytes(b"a\xff")).map(drop).unwrap_err();
        assert!(matches!(error, WasiError::NotUtf8 { what: "argument", .. }));
    }

    #[test]
    fn clocks_tell_the_time() {
        let mut wasi = Wasi::builder().build();
        let mut memory = [0; 16];
        assert_eq!(call(&mut wasi, "clock_time_get", &mut memory, &[0, 1, 0]), Ok(0));
        let nanoseconds = u128::from(u64::from_le_bytes(memory[..8].try_into().unwrap()));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        assert!(now.abs_diff(nanoseconds) < 60_000_000_000, "{nanoseconds} is not near {now}");
    }

    #[test]
    fn shared_memory_is_accepted() {
        let mut builder = Wasi::builder();
        builder.arg("x").unwrap();
        let mut wasi = builder.build();
        let memory: Vec<UnsafeCell<u8>> = (0..8).map(|_| UnsafeCell::new(9)).collect();
        let args_sizes_get = number("wasi_snapshot_preview1", "args_sizes_get");
        assert_eq!(wasi.call(args_sizes_get, LinearMemory::Shared(&memory), &[0, 4]), Ok(0));
        let bytes: Vec<u8> = memory.into_iter().map(UnsafeCell::into_inner).collect();
        assert_eq!(bytes, [1, 0, 0, 0, 2, 0, 0, 0]);
    }
}
