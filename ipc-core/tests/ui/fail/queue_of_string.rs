use ipc_core::Queue;

fn main() {
    let _ = Queue::<String>::new("a").capacity(64);
}
