//! Histograms from foreign documents.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use measure::{Exact, Histogram};

/// First word of the deflated form.
const COOKIE_DEFLATED: u32 = 0x1c84_9304 | 0x10;
/// Size of the exact figures before the text: four numbers of eight bytes.
const EXACT_SIZE: usize = 32;

/// The input: a byte that says what follows the exact figures (an even one: the text form; an odd one: what stands
/// inside its base64 and deflation, where no fuzzer finds its way by itself), the figures, and that. What is read
/// must be written, and read, the same again.
pub fn histogram(input: &[u8]) {
    let Some((&kind, rest)) = input.split_first() else { return };
    let Some((figures, form)) = rest.split_first_chunk::<EXACT_SIZE>() else { return };
    let figure = |index: usize| {
        let (figures, _) = figures.as_chunks::<8>();
        u64::from_le_bytes(figures[index])
    };
    let exact =
        Exact { count: figure(0), sum_ns: u128::from(figure(1)), min_ns: figure(2), max_ns: figure(3) };
    let text = if kind & 1 == 0 { String::from_utf8_lossy(form).into_owned() } else { text_form(form) };
    if let Ok(histogram) = Histogram::decode(&text, exact) {
        check(&histogram, exact);
    }
}

fn check(histogram: &Histogram, exact: Exact) {
    assert_eq!(histogram.exact(), exact);
    let again = Histogram::decode(&histogram.encode(), exact).expect("what is written can be read");
    assert_eq!(&again, histogram);
    let mut least = exact.min_ns;
    for quantile in [0.0, 0.5, 0.99, 0.999, 1.0] {
        let value_ns = histogram.value_at_quantile(quantile);
        assert!(least <= value_ns && value_ns <= exact.max_ns, "{least} {value_ns} {}", exact.max_ns);
        least = value_ns;
    }
    assert_eq!(histogram.count_at_or_below(u64::MAX), exact.count);
    let mut doubled = histogram.clone();
    doubled.merge(histogram);
    assert_eq!(doubled.count(), exact.count.saturating_mul(2));
}

/// Deflates and wraps the plain form as [`Histogram::encode`] does.
fn text_form(plain: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("writing to memory cannot fail");
    let body = encoder.finish().expect("writing to memory cannot fail");
    let size = u32::try_from(body.len()).expect("fuzz inputs are small");
    STANDARD.encode([&COOKIE_DEFLATED.to_be_bytes()[..], &size.to_be_bytes(), &body].concat())
}
