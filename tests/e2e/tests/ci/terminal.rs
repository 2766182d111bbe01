//! What people read: the summary, the progress, colours.

use e2e::machine::among_others;
use e2e::{Engine, Target};

#[test]
fn the_summary_begins_with_the_verdict_and_fits_a_screen() {
    let _hold = among_others();
    let target =
        Target::start("--error-rate 0.1 --close-rate 0.1 --cut-rate 0.1 --garbage-rate 0.1 --delay exp:2ms");
    let line = "--tps 300 -d 2s --max-lag 1h --threshold p99<1h --threshold p50<1h";
    let outcome = Engine::new(line).arg(target.url()).run().expect(0);
    assert!(outcome.stdout.starts_with("PASS (exit 0)  "), "{}", outcome.told());
    assert!(outcome.stdout.lines().count() <= 40, "{}", outcome.told());
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 110), "{}", outcome.told());
    assert!(outcome.stdout.contains("audit      scheduled 600 = sent 600 "), "{}", outcome.told());
    assert!(!outcome.stdout.contains('\x1b') && !outcome.stderr.contains('\x1b'), "{}", outcome.told());
}

#[test]
fn colours_are_the_users_choice() {
    let _hold = among_others();
    let target = Target::start("");
    let engine = || Engine::new("--tps 20 -d 1s --max-lag 1h").arg(target.url());
    for (engine, coloured) in [
        (engine().args("--color always"), true),
        (engine().args("--color never").variable("CLICOLOR_FORCE", "1"), false),
        (engine().variable("CLICOLOR_FORCE", "1"), true),
        (engine().variable("CLICOLOR_FORCE", "1").variable("NO_COLOR", "1"), false),
    ] {
        let outcome = engine.run().expect(0);
        assert_eq!(outcome.stdout.contains("\x1b["), coloured, "{}", outcome.told());
    }
    // A terminal that knows no UTF-8 gets none.
    let outcome = engine().variable("LC_ALL", "C").run().expect(0);
    assert!(outcome.stdout.is_ascii(), "{}", outcome.told());
}

#[test]
fn progress_is_a_plain_line_where_there_is_no_terminal() {
    let _hold = among_others();
    let target = Target::start("");
    let outcome = Engine::patient("--tps 100 -d 3s --progress-every 1s").arg(target.url()).run().expect(0);
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains("100")).collect();
    assert!(lines.len() >= 2, "{}", outcome.told());
    let seldom = Engine::patient("--tps 100 -d 1s").arg(target.url()).run().expect(0);
    let often = outcome.stderr.lines().count();
    assert!(seldom.stderr.lines().count() < often, "{}", seldom.told());
    let quiet = Engine::patient("--tps 100 -d 1s --quiet").arg(target.url()).run().expect(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn help_and_version_are_asked_for() {
    let _hold = among_others();
    for line in
        ["--help", "-h", "target --help", "merge --help", "schema --help", "doctor --help", "--version"]
    {
        let outcome = Engine::new(line).run().expect(0);
        assert!(outcome.stderr.is_empty() && outcome.stdout.len() > 10, "{}", outcome.told());
    }
    let outcome = Engine::new("").run().expect(2);
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("--tps"), "{}", outcome.told());
}
