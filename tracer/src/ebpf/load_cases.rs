//! Every way in which the programs are loaded, to be measured: [`load_cases`].

use std::collections::BTreeSet;
use std::error::Error;
use std::mem::MaybeUninit;
use std::rc::Rc;

use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use super::probe::{Kernel, Probed};
use super::programs::{COMMON, names, select};
use super::setup::Setup;
use super::tier::{HOOKS, Tier};
use crate::options::{Collect, Filter};
use crate::skeleton::TracerSkelBuilder;

/// Programs that are loaded together, and how.
#[derive(Debug)]
pub struct LoadCase {
    /// `common`, for what every tier takes, `common-system`, for the same in a trace of the whole system, or the tier, with
    /// `fentry.s` for the sleepable ones.
    pub name: &'static str,
    /// The programs: functions of the BPF side.
    pub programs: BTreeSet<String>,
    setup: Setup,
    kernel: Rc<Kernel>,
    /// Which of the programs are common to all tiers.
    common: &'static [&'static str],
    /// The tier's hooks with the kernel's functions, or why this kernel has not got the tier.
    hooks: Result<Vec<Probed>, String>,
}

/// All cases, each program in one of them, but for those of `common`, which are in two: a trace of the whole system leaves
/// out the table of processes, which is most of what they do. Of the hooks' programs it leaves out one look into that
/// table, so they are there as they are loaded for a command. Tiers that this kernel has not are among them: they fail to
/// open.
pub fn load_cases() -> Vec<LoadCase> {
    let kernel = Rc::new(Kernel::new());
    let of_all = |name, system_wide| LoadCase {
        name,
        programs: COMMON.map(str::to_owned).into(),
        setup: setup(system_wide, Tier::Tracepoint),
        kernel: Rc::clone(&kernel),
        common: &COMMON,
        hooks: Ok(Vec::new()),
    };
    let of_tier = |tier: Tier| {
        let native = HOOKS.iter().filter(|hook| hook.native);
        LoadCase {
            name: if tier == Tier::FentrySleepable { "fentry.s" } else { tier.name() },
            programs: native.flat_map(|hook| names(tier, hook.suffix)).collect(),
            setup: setup(false, tier),
            kernel: Rc::clone(&kernel),
            common: &[],
            hooks: hooks(&kernel, tier),
        }
    };
    let mut cases = vec![of_all("common", false), of_all("common-system", true)];
    cases.extend(Tier::ALL.map(of_tier));
    cases
}

pub(super) fn setup(system_wide: bool, best: Tier) -> Setup {
    Setup { system_wide, collect: Collect::default(), filter: Filter::default(), ring_bytes: 0, max_processes: 1, best }
}

fn hooks(kernel: &Kernel, tier: Tier) -> Result<Vec<Probed>, String> {
    let native = kernel.probe(tier).into_iter().filter(|probed| probed.hook.native);
    let has_tier = |probed: Probed| {
        if tier > Tier::Fentry || probed.fentry == Some(tier) {
            return Ok(probed);
        }
        let refused = probed.attempts.iter().find(|attempt| attempt.tier == tier);
        let why = match refused.and_then(|attempt| attempt.refused.as_ref()) {
            Some(refusal) => format!("{}: {}", refusal.doing, refusal.words),
            None => format!("its BTF has none of {}", probed.hook.functions.join(", ")),
        };
        Err(format!("this kernel has no {} for {}: {why}", tier.name(), probed.hook.name))
    };
    native.map(has_tier).collect()
}

impl LoadCase {
    /// Opens the object, configures it, with the programs of this case to be loaded, and shows it.
    ///
    /// # Errors
    /// When the kernel has not got this tier, or the object cannot be opened.
    pub fn open(&self, show: &mut dyn FnMut(&mut OpenObject)) -> Result<(), Box<dyn Error + Send + Sync>> {
        let hooks = self.hooks.as_ref().map_err(Clone::clone)?;
        let plan = vec![self.setup.best; hooks.len()];
        let mut place = MaybeUninit::uninit();
        let mut open = TracerSkelBuilder::default().open(&mut place)?;
        self.setup.configure(&mut open, &self.kernel).map_err(|(_, err)| err)?;
        select(open.open_object_mut(), self.common, hooks, &plan)?;
        show(open.open_object_mut());
        Ok(())
    }
}
