//! Hot path. The variables of one iteration, in one buffer.
//!
//! Invariant: the values together are at most as long as the limit. A new value is written behind the others; when there is no
//! room, those that were replaced are squeezed out first, in place.

/// The values of an iteration's variables.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    bytes: Vec<u8>,
    /// Where each value lies; none while it is unset.
    spans: Vec<Option<Span>>,
    limit: usize,
}

#[derive(Copy, Clone, Debug)]
struct Span {
    start: usize,
    length: usize,
}

impl Variables {
    pub(crate) fn new(count: usize, limit: usize) -> Self {
        Self { bytes: Vec::with_capacity(limit.min(256)), spans: vec![None; count], limit }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.fill(None);
    }

    pub(crate) fn value(&self, index: u16) -> Option<&[u8]> {
        let span = (*self.spans.get(usize::from(index))?)?;
        self.bytes.get(span.start..span.start + span.length)
    }

    /// Sets a variable; `false` when the values would become longer than the limit together.
    pub(crate) fn set(&mut self, index: u16, value: &[u8]) -> bool {
        let Some(span) = self.spans.get_mut(usize::from(index)) else { return false };
        *span = None;
        if self.bytes.len() + value.len() > self.limit {
            self.squeeze();
            if self.bytes.len() + value.len() > self.limit {
                return false;
            }
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.spans[usize::from(index)] = Some(Span { start, length: value.len() });
        true
    }

    /// Moves the values that are still there together, in the order in which they lie.
    fn squeeze(&mut self) {
        let mut end = 0;
        let mut from = 0;
        // There are at most some hundred variables, and this is rare: the next one is looked for each time.
        while let Some(span) = self
            .spans
            .iter_mut()
            .flatten()
            .filter(|span| span.start >= from && span.length > 0)
            .min_by_key(|span| span.start)
        {
            from = span.start + span.length;
            self.bytes.copy_within(span.start..from, end);
            span.start = end;
            end += span.length;
            // What has moved lies below `from` and is not found again.
        }
        self.bytes.truncate(end);
        for span in self.spans.iter_mut().flatten().filter(|span| span.length == 0) {
            span.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_within_the_limit() {
        let mut variables = Variables::new(3, 10);
        assert_eq!(variables.value(0), None);
        assert!(variables.set(0, b"abcd") && variables.set(1, b"") && variables.set(2, b"efg"));
        assert!(variables.set(0, b"ABCDE"), "the old value makes room");
        assert_eq!(
            [0, 1, 2].map(|index| variables.value(index)),
            [Some(&b"ABCDE"[..]), Some(b""), Some(b"efg")]
        );
        assert!(variables.set(2, b"hijkl"));
        assert!(!variables.set(1, b"x"), "eleven bytes");
        assert_eq!(
            [0, 1, 2].map(|index| variables.value(index)),
            [Some(&b"ABCDE"[..]), None, Some(b"hijkl")]
        );
        variables.clear();
        assert_eq!(variables.value(0), None);
        assert!(!variables.set(9, b""));
        for round in 0..1_000 {
            let value = [b'a' + u8::try_from(round % 26).unwrap(); 3];
            assert!(variables.set(round % 3, &value));
            assert_eq!(variables.value(round % 3), Some(&value[..]));
        }
    }
}
