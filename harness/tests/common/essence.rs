//! What of a run's record must not depend on when, where and in how many parts it ran: [`essence`].

use serde_json::{Value, json};

/// Each cell in its order: ids, kernels, inputs, verdicts and reasons; and of the last attempt the tests with all that is known
/// of them but their times, logs and artifacts.
pub(crate) fn essence(record: &Value) -> Value {
    let cell = |cell: &Value| {
        let attempts = cell["attempts"].as_array().expect("attempts");
        let test = |test: &Value| {
            let mut test = test.clone();
            // Not every test leaves some; their paths name the attempt.
            test.as_object_mut().expect("a test").remove("artifacts");
            for key in ["seconds", "log"] {
                assert!(test.as_object_mut().expect("a test").remove(key).is_some(), "{key}");
            }
            test
        };
        let tests = attempts.last().and_then(|attempt| attempt["tests"].as_array()).cloned().unwrap_or_default();
        let part = |key: &str| cell[key].clone();
        let parts = ["id", "arch", "kernel", "llvm", "position", "inputs", "verdict", "reason", "not_run"].map(part);
        json!({"cell": parts, "tests": tests.iter().map(test).collect::<Vec<_>>()})
    };
    let cells: Vec<Value> = record["cells"].as_array().expect("cells").iter().map(cell).collect();
    json!({"schema": record["schema"], "plan": record["plan"], "test_globs": record["test_globs"], "cells": cells})
}
