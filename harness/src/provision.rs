//! Turns what the store holds into the inputs of a VM: kernel, guest image, bundle.

pub mod guest;
pub mod initramfs;
pub mod modules;
