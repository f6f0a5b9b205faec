use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", latest = "image")]
#[repr(C)]
struct Image {
    width: u32,
    caption: str,
}

fn main() {
    let _ = Image::reader;
}
