//! Hot path. One stretch of a profile: the exact integral of its rate, and the inverse.
//!
//! What it is: a rate that is constant or moves linearly, its integral at every nanosecond, and the first
//! nanosecond at which that integral reaches a given value.
//! What it is not: aware of other stretches; `profile` strings them together.
//!
//! Units: the integral is counted in quanta, [`QUANTA_PER_ARRIVAL`] to an arrival. A millionth of an arrival
//! per second over one nanosecond is 10⁻¹⁵ arrivals, and the area under a ramp is half a rectangle: with
//! 2 × 10¹⁵ quanta to an arrival, every whole ramp has a whole number of them.
//!
//! Invariant: quanta inside a ramp are rounded down, and compared only with whole numbers. For a whole n,
//! ⌊v⌋ ≥ n exactly when v ≥ n, so the comparison is exact although the ramp's value is a fraction.

/// How many quanta the integral of the rate grows by per arrival.
pub(crate) const QUANTA_PER_ARRIVAL: u128 = 2_000_000_000_000_000;

/// A stretch of time in which the rate is constant or moves linearly.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it starts.
    pub(crate) start_ns: u64,
    /// How long it runs; above zero.
    pub(crate) length_ns: u64,
    /// The integral of the whole profile at its start.
    pub(crate) quanta_before: u128,
    /// The integral of the whole profile at its end.
    pub(crate) quanta_after: u128,
    /// The rate at its start, in millionths per second.
    from: u64,
    /// The rate that the line reaches after `ramp_ns`.
    to: u64,
    /// How long the line takes; above `length_ns` where a rate change cut a ramp short.
    ramp_ns: u64,
}

impl Segment {
    /// A line `from` → `to` over `ramp_ns`, of which the first `length_ns` are run; `None` when the integral
    /// leaves 128 bits.
    pub(crate) fn new(start: (u64, u128), length_ns: u64, line: (u64, u64, u64)) -> Option<Self> {
        let (start_ns, quanta_before) = start;
        let (from, to, ramp_ns) = line;
        assert!(
            0 < length_ns && length_ns <= ramp_ns,
            "Invariant: a segment runs, and no longer than its line"
        );
        // Bounds the whole line, so that no product below can overflow.
        let line_quanta = (u128::from(from) + u128::from(to)).checked_mul(u128::from(ramp_ns))?;
        if line_quanta >= 1 << 126 {
            return None;
        }
        let mut segment = Self { start_ns, length_ns, quanta_before, quanta_after: 0, from, to, ramp_ns };
        segment.quanta_after = quanta_before.checked_add(segment.quanta_at(length_ns))?;
        Some(segment)
    }

    /// The first `length_ns` of this segment, on the same line.
    pub(crate) fn cut(&self, length_ns: u64) -> Self {
        let line = (self.from, self.to, self.ramp_ns);
        Self::new((self.start_ns, self.quanta_before), length_ns, line)
            .expect("Invariant: a part of a segment is no larger than the segment")
    }

    /// Whether its rate is zero throughout.
    pub(crate) fn is_still(&self) -> bool {
        self.from == 0 && self.to == 0
    }

    /// The rate `elapsed_ns` into the segment, to the nearest millionth.
    pub(crate) fn micro_rate_at(&self, elapsed_ns: u64) -> u64 {
        let change = u128::from(self.from.abs_diff(self.to)) * u128::from(elapsed_ns);
        let nearest = (change + u128::from(self.ramp_ns / 2)) / u128::from(self.ramp_ns);
        let nearest =
            u64::try_from(nearest).expect("Invariant: a part of the line changes less than the line");
        if self.to >= self.from { self.from + nearest } else { self.from - nearest }
    }

    /// The integral from the segment's start to `elapsed_ns` after it, in quanta, rounded down.
    pub(crate) fn quanta_at(&self, elapsed_ns: u64) -> u128 {
        let level = 2 * u128::from(self.from) * u128::from(elapsed_ns);
        match self.from.cmp(&self.to) {
            std::cmp::Ordering::Equal => level,
            std::cmp::Ordering::Less => {
                let (whole, _) = square_over(self.to - self.from, elapsed_ns, self.ramp_ns);
                level + whole
            }
            std::cmp::Ordering::Greater => {
                let (whole, fraction) = square_over(self.from - self.to, elapsed_ns, self.ramp_ns);
                level - whole - u128::from(fraction)
            }
        }
    }

    /// The least `elapsed_ns` at which [`quanta_at`](Self::quanta_at) reaches `quanta`.
    ///
    /// The segment must reach them: `quanta` ≤ `quanta_after` − `quanta_before`.
    #[inline]
    pub(crate) fn elapsed_at(&self, quanta: u128) -> u64 {
        if self.from != self.to {
            return self.elapsed_on_ramp(quanta);
        }
        if quanta == 0 {
            return 0;
        }
        // Halving first keeps the divisor in one word: ⌈q / 2r⌉ = ⌈⌈q / 2⌉ / r⌉.
        let elapsed = quanta.div_ceil(2).div_ceil(u128::from(self.from));
        u64::try_from(elapsed).expect("Invariant: the segment reaches these quanta")
    }

    /// Guesses in floating point, then lets the exact integral decide. The answer does not depend on the guess.
    fn elapsed_on_ramp(&self, quanta: u128) -> u64 {
        let guess = self.guess_on_ramp(quanta).min(self.length_ns);
        let reached = |elapsed_ns: u64| self.quanta_at(elapsed_ns) >= quanta;
        // Invariant: `reached` is false at every point below `low` and true at `high`.
        let (mut low, mut high, mut step) = (0, self.length_ns, 1);
        if reached(guess) {
            high = guess;
            while high > 0 {
                let probe = high.saturating_sub(step);
                if !reached(probe) {
                    low = probe + 1;
                    break;
                }
                high = probe;
                step *= 2;
            }
        } else {
            low = guess + 1;
            while low < self.length_ns {
                let probe = guess.saturating_add(step).min(self.length_ns);
                if reached(probe) {
                    high = probe;
                    break;
                }
                low = probe + 1;
                step *= 2;
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if reached(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high
    }

    /// Where the ramp reaches `quanta`, to within a few nanoseconds.
    ///
    /// Measured from the low end of the line, where the root subtracts nothing and so loses no digits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess; saturation is welcome"
    )]
    fn guess_on_ramp(&self, quanta: u128) -> u64 {
        let slope = self.from.abs_diff(self.to) as f64 / self.ramp_ns as f64;
        let root = |rate: u64, quanta: u128| {
            let (rate, quanta) = (rate as f64, quanta as f64);
            quanta / (rate + (rate * rate + slope * quanta).sqrt())
        };
        if self.from < self.to {
            return root(self.from, quanta) as u64;
        }
        let line_quanta = (u128::from(self.from) + u128::from(self.to)) * u128::from(self.ramp_ns);
        self.ramp_ns.saturating_sub(root(self.to, line_quanta - quanta) as u64)
    }
}

/// `factor` × `side`² / `divisor` as its whole part and whether a fraction remains, for `side` ≤ `divisor`.
///
/// Dividing once before the second multiplication keeps everything in 128 bits: with factor × side = q ×
/// divisor + r, the value is q × side + r × side / divisor, and its first term is whole.
fn square_over(factor: u64, side: u64, divisor: u64) -> (u128, bool) {
    let (side, divisor) = (u128::from(side), u128::from(divisor));
    let product = u128::from(factor) * side;
    let quotient = product / divisor;
    let rest = (product - quotient * divisor) * side;
    let rest_quotient = rest / divisor;
    (quotient * side + rest_quotient, rest != rest_quotient * divisor)
}

#[cfg(test)]
mod tests;
