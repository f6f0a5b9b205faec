//! Thin, typed wrappers of what the operating system offers. System calls are made here and nowhere else.

#[cfg(target_os = "linux")]
mod attachment;
#[cfg(target_os = "linux")]
mod eventfd;
#[cfg(target_os = "linux")]
pub(crate) mod fork;
#[cfg(target_os = "linux")]
mod futex_waitv;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(crate) use attachment::Attachment;
#[cfg(target_os = "linux")]
pub(crate) use {eventfd::*, futex_waitv::*, linux::*};

#[cfg(not(target_os = "linux"))]
compile_error!("slipring runs on Linux only in this version: the portable backend has not been written yet");
