//! The deepest chain of calls: [`deepest`] adds up what the verifier says of each subprogram along the calls that stand in the
//! program's instructions. Kernels before 7.2 tell the depth of each subprogram, and not what they amount to.
//!
//! It is an upper bound of what newer kernels say: they give some subprograms a stack of their own (6.13, x86_64), and count before
//! they add to a program's stack what a loop that they inline saves there.

use std::collections::BTreeSet;

/// An instruction, as far as calls go; `struct bpf_insn` has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// The operation.
    pub code: u8,
    /// The source register; for calls, what is called.
    pub source: u8,
    /// The immediate operand; for calls, the distance.
    pub immediate: i32,
}

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_LD | BPF_DW | BPF_IMM`, which takes the place of two instructions.
const LOAD_64: u8 = 0x18;
/// The source register of a call to a subprogram.
const PSEUDO_CALL: u8 = 1;
/// The source register of a load of a subprogram's address, which is then called back.
const PSEUDO_FUNC: u8 = 4;

/// Bytes of stack of the deepest chain of calls, where `depths` has those of each subprogram in the order of their
/// beginnings. `None` when the two do not fit together, as after a kernel has added subprograms of its own.
#[must_use]
pub fn deepest(insns: &[Insn], depths: &[u32]) -> Option<u32> {
    let calls = calls(insns)?;
    let begins: Vec<usize> =
        std::iter::once(0).chain(calls.iter().map(|(_, to)| *to)).collect::<BTreeSet<_>>().into_iter().collect();
    if begins.len() != depths.len() {
        return None;
    }
    let within = |at: usize| begins.partition_point(|begin| *begin <= at) - 1;
    let calls: BTreeSet<(usize, usize)> = calls.into_iter().map(|(from, to)| (within(from), within(to))).collect();
    // The verifier refuses recursion and more than 8 frames, so that many rounds find the deepest chain.
    let mut deepest = depths.to_vec();
    for _ in 0..8 {
        let before = deepest.clone();
        for &(from, to) in &calls {
            deepest[from] = deepest[from].max(depths[from].saturating_add(before[to]));
        }
    }
    deepest.first().copied()
}

/// Each call of a subprogram: where it stands, and where the subprogram begins. `None` when one leads out of the program.
fn calls(insns: &[Insn]) -> Option<Vec<(usize, usize)>> {
    let mut calls = Vec::new();
    let mut at = 0;
    while let Some(insn) = insns.get(at) {
        let is_call = insn.code == CALL && insn.source == PSEUDO_CALL;
        let is_address = insn.code == LOAD_64 && insn.source == PSEUDO_FUNC;
        if is_call || is_address {
            let to = (at + 1).checked_add_signed(insn.immediate as isize)?;
            insns.get(to)?;
            calls.push((at, to));
        }
        at += if insn.code == LOAD_64 { 2 } else { 1 };
    }
    Some(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIT: Insn = Insn { code: 0x95, source: 0, immediate: 0 };

    fn call(distance: i32) -> Insn {
        Insn { code: CALL, source: PSEUDO_CALL, immediate: distance }
    }

    #[test]
    fn the_deepest_chain_counts_and_not_the_sum() {
        // 0: main calls 3 and 5; 3 calls 6; 5 is a leaf.
        let insns = [call(2), call(3), EXIT, call(2), EXIT, EXIT, EXIT];
        assert_eq!(deepest(&insns, &[8, 16, 200, 32]), Some(8 + 200));
        assert_eq!(deepest(&insns, &[8, 16, 20, 32]), Some(8 + 16 + 32));
    }

    #[test]
    fn a_program_without_calls_has_its_own_stack() {
        let helper = Insn { code: CALL, source: 0, immediate: 14 };
        assert_eq!(deepest(&[helper, EXIT], &[64]), Some(64));
    }

    /// Check that what is called back counts, and that the second half of a wide instruction is not taken for one.
    #[test]
    fn a_callback_is_a_call() {
        let wide = Insn { code: LOAD_64, source: PSEUDO_FUNC, immediate: 3 };
        let half = Insn { code: 0, source: 0, immediate: 0 };
        let constant = Insn { code: LOAD_64, source: 0, immediate: 1 };
        let looks_like_a_call = call(100);
        assert_eq!(deepest(&[wide, half, constant, looks_like_a_call, EXIT], &[8, 16]), Some(24));
    }

    #[test]
    fn what_does_not_fit_together_has_no_depth() {
        assert_eq!(deepest(&[call(0), EXIT], &[8]), None, "two subprograms, one depth");
        assert_eq!(deepest(&[call(50), EXIT], &[8, 8]), None, "a call that leads out");
        assert_eq!(deepest(&[call(i32::MIN), EXIT], &[8, 8]), None, "a call that leads out backwards");
        assert_eq!(deepest(&[], &[]), None);
    }

    /// Check that recursion, which no kernel takes, ends here as well.
    #[test]
    fn recursion_ends() {
        assert!(deepest(&[call(-1), EXIT], &[8]).is_some());
    }
}
