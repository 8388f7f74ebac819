//! Tests of the doctor, and its report of the kernel that they run on.

use std::path::PathBuf;

use serial_test::serial;

use super::*;

/// Check that the mode in brackets is taken, and text without brackets as it is.
#[test]
fn the_lockdown_mode_is_the_one_in_brackets() {
    assert_eq!(chosen("none [integrity] confidentiality"), "integrity");
    assert_eq!(chosen("odd"), "odd");
}

/// Check that a hook's reason has what was refused and the kernel's words.
#[test]
fn the_reason_has_the_kernels_words() {
    let refused = Refusal { doing: "attach", errno: Some(524), words: "not supported (ENOTSUPP)".to_owned() };
    let attempts =
        [Attempt { tier: Tier::Fentry, refused: Some(refused) }, Attempt { tier: Tier::Kprobe, refused: None }];
    assert_eq!(why(&attempts, Some(Tier::Kprobe)), "fentry: attach: not supported (ENOTSUPP)");
    assert_eq!(why(&attempts[1..], Some(Tier::Kprobe)), "the best there is");
    assert_eq!(why(&[], None), "the kernel has no such function");
}

/// Check that both native calls get a tier, with every better one's refusal on record, and that no program takes more than a
/// fifth of what the verifier allows. The report goes to the run's artifacts.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_native_calls_get_a_tier() {
    let found = doctor();
    let capabilities = found.capabilities();
    if let Some(dir) = std::env::var_os("UKCI_ARTIFACTS").map(PathBuf::from) {
        std::fs::write(dir.join("doctor.json"), serde_json::to_string_pretty(&found).expect("serialisable"))
            .expect("written");
        std::fs::write(dir.join("doctor.txt"), found.to_string()).expect("written");
        std::fs::write(
            dir.join("capabilities.json"),
            serde_json::to_string_pretty(&capabilities).expect("serialisable"),
        )
        .expect("written");
    }
    assert_eq!(found.error, None, "{found:#?}");
    for name in ["execve", "execveat"] {
        let hook = found.hooks.iter().find(|hook| hook.name == name).expect(name);
        let tier = hook.tier.expect(name);
        let works: Vec<_> = hook.attempts.iter().filter(|attempt| attempt.refused.is_none()).collect();
        assert!(works.len() == 1 && works[0].tier == tier, "{hook:#?}");
    }
    assert!(found.programs.values().all(|instructions| *instructions <= 200_000), "{:#?}", found.programs);
}
