use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", latest = "image")]
#[repr(C)]
struct Image {
    width: u32,
    pixels: [u8],
}

fn main() {
    let _ = Image::writer;
}
