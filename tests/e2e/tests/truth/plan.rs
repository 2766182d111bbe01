//! When the requests of a plan are due, worked out again from the words of its flags: no code of the product.

/// A stretch of a plan: from one rate to another, in requests per second, over so many seconds.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) seconds: f64,
}

/// A level stretch.
pub(crate) fn level(rate: u32, seconds: f64) -> Vec<Stretch> {
    vec![Stretch { from: rate, to: rate, seconds }]
}

/// The flags that ask for these stretches.
pub(crate) fn flags(plan: &[Stretch]) -> String {
    if let [Stretch { from, to, seconds }] = plan
        && from == to
    {
        return format!("--tps {from} --duration {seconds}s");
    }
    let mut rate = 0;
    let stages = plan.iter().map(|stretch| {
        // A stage slopes from where the last one ended; with `=` it steps.
        let step = if stretch.from == stretch.to { "=" } else { "" };
        assert!(step == "=" || stretch.from == rate, "{plan:?} slopes from a rate that it has not reached");
        rate = stretch.to;
        format!("{}s:{step}{}", stretch.seconds, stretch.to)
    });
    format!("--stages {}", stages.collect::<Vec<_>>().join(","))
}

/// The instants, after `zero_ns`, at which requests are due: the k-th when the integral of the rate reaches k.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "instants of a short plan")]
pub(crate) fn due(plan: &[Stretch], zero_ns: u64) -> Vec<u64> {
    let (mut instants, mut begin, mut before) = (Vec::new(), 0.0, 0.0);
    for stretch in plan {
        let (from, to) = (f64::from(stretch.from), f64::from(stretch.to));
        let slope = (to - from) / stretch.seconds;
        let total = before + from.midpoint(to) * stretch.seconds;
        while (instants.len() as f64) < total - 1e-9 {
            let more = instants.len() as f64 - before;
            let after = if stretch.from == stretch.to {
                more / from
            } else {
                ((from * from + 2.0 * slope * more).sqrt() - from) / slope
            };
            instants.push(zero_ns + ((begin + after) * 1e9) as u64);
        }
        (begin, before) = (begin + stretch.seconds, total);
    }
    instants
}

#[test]
fn instants_are_those_of_the_integral() {
    assert_eq!(due(&level(4, 1.0), 10), [10, 250_000_010, 500_000_010, 750_000_010]);
    // From 0 to 8 per second in 1 s: 4 t² reaches 0, 1, 2, 3; then 2 each second.
    let plan = [Stretch { from: 0, to: 8, seconds: 1.0 }, Stretch { from: 2, to: 2, seconds: 1.0 }];
    let milliseconds: Vec<u64> = due(&plan, 0).iter().map(|ns| ns / 1_000_000).collect();
    assert_eq!(milliseconds, [0, 500, 707, 866, 1_000, 1_500]);
    assert_eq!(flags(&plan), "--stages 1s:8,1s:=2");
    assert_eq!(flags(&level(4, 1.0)), "--tps 4 --duration 1s");
}
