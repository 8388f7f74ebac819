//! STUB
#![allow(missing_docs, unused_variables, dead_code)]
pub mod machine; 
pub use machine::{Accel, MachineSpec};
pub mod complaint; pub mod console; pub mod qmp;
pub use console::Console;
use std::path::Path; use std::time::Duration; use std::ffi::OsString; use std::path::PathBuf;
#[derive(Debug,Clone,Copy)] pub struct Deadlines;
impl Deadlines { pub fn new(arch: crate::matrix::Arch, accel: Accel, boot: Option<Duration>) -> Self { Self } }
#[derive(Debug,Clone)] pub struct Qemu { pub command: Vec<OsString>, pub env: Vec<(OsString,OsString)>, pub firmware: Option<PathBuf>, pub version: String }
#[derive(Debug)] pub struct RunKeys;
impl RunKeys { pub fn generate() -> Self {Self} pub fn authorized_key(&self)->String{String::new()} pub fn dropbear_host_key(&self)->Vec<u8>{vec![]}}
#[derive(Debug)] pub struct Vm { console: Console }
#[derive(Debug)] pub struct Session;
#[derive(Debug)] pub struct Output { pub stdout: Vec<u8>, pub stderr: Vec<u8>, pub exit: Exit }
#[derive(Debug,PartialEq)] pub enum Exit { Code(i32), Signal(String) }
impl std::fmt::Display for Exit { fn fmt(&self, f:&mut std::fmt::Formatter<'_>)->std::fmt::Result { Ok(()) } }
#[derive(Debug,thiserror::Error)] pub enum SshError { #[error("x")] Deadline{a:u8}, #[error("x")] Other }
#[derive(Debug,thiserror::Error)] pub enum VmError { #[error("x")] Deadline }
impl VmError { pub fn is_timeout(&self)->bool{false} }
impl Vm { pub async fn boot(q:&Qemu, m: MachineSpec, logs:&Path, d:Deadlines)->Result<Self,VmError>{Err(VmError::Deadline)}
 pub async fn connect(&mut self)->Result<Session,VmError>{Err(VmError::Deadline)}
 pub async fn cause_of_death(&mut self)->Option<VmError>{None}
 pub async fn power_off(&mut self, s: Session)->Result<(),VmError>{Ok(())}
 pub fn console(&self)->&Console{&self.console} }
impl Session { pub async fn run(&self, c:&str, d:Duration)->Result<Output,SshError>{Err(SshError::Other)} }
pub async fn kvm_works(q: &Qemu, m: MachineSpec) -> Result<(), String> { Err("stub".into()) }
impl Clone for Vm { fn clone(&self)->Self{loop{}} }
