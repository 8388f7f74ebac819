//! Every way in which the programs are loaded, to be measured: [`load_cases`].

use std::error::Error;
use std::mem::MaybeUninit;

use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use super::probe::{Probed, probe};
use super::programs::{Setup, select};
use super::tier::Tier;
use crate::options::{Collect, Filter};
use crate::skeleton::TracerSkelBuilder;

/// The programs of one tier, as they are loaded for a whole system or for a command.
#[derive(Clone, Debug)]
pub struct LoadCase {
    /// `kprobe`, `kprobe, system-wide`.
    pub name: String,
    tier: Tier,
    system_wide: bool,
}

/// All cases. Tiers that this kernel has not are among them: they fail to open.
pub fn load_cases() -> Vec<LoadCase> {
    let case = |tier: Tier, system_wide| {
        let scope = if system_wide { ", system-wide" } else { "" };
        LoadCase { name: format!("{}{scope}", tier.name()), tier, system_wide }
    };
    Tier::ALL.iter().flat_map(|tier| [case(*tier, false), case(*tier, true)]).collect()
}

impl LoadCase {
    /// Opens the object, configures it, with the programs of this case to be loaded, and shows it.
    ///
    /// # Errors
    /// When the kernel has not got this tier, or the object cannot be opened.
    pub fn open(&self, show: &mut dyn FnMut(&mut OpenObject)) -> Result<(), Box<dyn Error + Send + Sync>> {
        let setup = Setup {
            system_wide: self.system_wide,
            collect: Collect::default(),
            filter: Filter::default(),
            ring_bytes: 0,
            max_processes: 1,
            best: self.tier,
        };
        let mut probed = probe(self.tier);
        let lacking = |probed: &&Probed| probed.hook.native && probed.fentry != Some(self.tier);
        if self.tier <= Tier::Fentry {
            if let Some(lacking) = probed.iter().find(lacking) {
                return Err(format!("this kernel has no {} for {}", self.tier.name(), lacking.hook.name).into());
            }
            probed.retain(|probed| probed.fentry == Some(self.tier));
        }
        let plan = vec![self.tier; probed.len()];
        let mut place = MaybeUninit::uninit();
        let mut open = TracerSkelBuilder::default().open(&mut place)?;
        setup.configure(&mut open).map_err(|(_, err)| err)?;
        select(open.open_object_mut(), &probed, &plan)?;
        show(open.open_object_mut());
        Ok(())
    }
}
