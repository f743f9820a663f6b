// A thread, which wasm32-wasi cannot start.
fn main() {
    match std::thread::Builder::new().spawn(|| 42) {
        Ok(thread) => println!("started: {:?}", thread.join()),
        Err(error) => println!("refused: {error}"),
    }
}
