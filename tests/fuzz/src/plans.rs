//! Plan files from anybody.

use plan::PlanError;
use plan::document::{MOST_FAULTS, PlanFile, World};

/// A world in which every other variable is set and every file holds the same.
struct Anywhere;

impl World for Anywhere {
    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        Ok(name.len().is_multiple_of(2).then(|| format!("{{{name}: ")))
    }

    fn read(&self, _path: &str) -> Result<Vec<u8>, String> {
        Ok(b"-----BEGIN CERTIFICATE-----".to_vec())
    }

    fn look(&self, _path: &str) -> Result<(), String> {
        Ok(())
    }

    fn check_threshold(&self, text: &str) -> Result<(), PlanError> {
        verdict::Threshold::parse(text).map(|_| ())
    }
}

/// The input: a plan file. Reading it ends; every fault lies inside it, says how to fix it and steers no terminal; the
/// same bytes are read the same again.
pub fn plan_document(input: &[u8]) {
    let read = PlanFile::parse("plan.yaml", input, &Anywhere);
    assert_eq!(read.is_ok(), PlanFile::parse("plan.yaml", input, &Anywhere).is_ok());
    match read {
        Ok(plan) => {
            assert!(!plan.targets.is_empty() && !plan.workloads.is_empty());
            for workload in &plan.workloads {
                assert!(workload.scenario < plan.scenarios.len());
                assert!(workload.end_ns() <= plan.duration_ns());
            }
        }
        Err(error) => {
            assert!((1..=MOST_FAULTS).contains(&error.faults.len()));
            let text = String::from_utf8_lossy(input);
            let lines: Vec<&str> = text.split('\n').collect();
            for fault in &error.faults {
                assert!(!fault.what.is_empty() && !fault.fix.is_empty());
                let line = lines.get(fault.line - 1).expect("a fault lies inside the file");
                assert!((1..=line.chars().count() + 1).contains(&fault.column), "{error}");
            }
            let shown = error.to_string();
            assert!(
                !shown.contains(|character: char| character.is_control() && character != '\n'),
                "{shown}"
            );
        }
    }
}
