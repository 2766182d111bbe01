//! Tests of the text form: round trip, the reference crate as reader and writer, and foreign text.

use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use proptest::prelude::*;

use super::*;
use crate::HIGHEST_NS;

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let value = (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift);
    let count = (20_u32..63, any::<u64>()).prop_map(|(shift, bits)| bits >> shift);
    proptest::collection::vec((value, count), 0..60).prop_map(|entries| {
        let mut histogram = Histogram::new();
        for (value, count) in entries {
            histogram.record_many(value, count);
        }
        histogram
    })
}

fn deflated(plain: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    let body = encoder.finish().unwrap();
    let mut bytes = COOKIE_DEFLATED.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&body);
    STANDARD.encode(bytes)
}

fn sample() -> Histogram {
    let mut histogram = Histogram::new();
    for value in [0, 1, 3, 900, 1_500_000, 40_000_000_000] {
        histogram.record_many(value, 3);
    }
    histogram
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_encoded_is_decoded(histogram in any_histogram()) {
        let text = histogram.encode();
        prop_assert_eq!(Histogram::decode(&text, histogram.exact()), Ok(histogram));
    }

    #[test]
    fn the_reference_crate_reads_what_we_write(histogram in any_histogram()) {
        let bytes = STANDARD.decode(histogram.encode()).unwrap();
        let theirs: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        prop_assert_eq!(theirs.len(), histogram.count());
        prop_assert_eq!((theirs.low(), theirs.sigfig()), (1, 3));
        for bucket in histogram.iter_recorded() {
            prop_assert_eq!(theirs.count_at(bucket.lowest_ns), bucket.count);
        }
    }

    #[test]
    fn we_read_what_the_reference_crate_writes(
        samples in proptest::collection::vec(0_u64..100_000_000_000, 0..80),
    ) {
        let mut theirs = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 100_000_000_000, 3).unwrap();
        let mut ours = Histogram::new();
        for sample in samples {
            theirs.record(sample).unwrap();
            ours.record(sample);
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&theirs, &mut bytes).unwrap();
        prop_assert_eq!(Histogram::decode(&STANDARD.encode(bytes), ours.exact()), Ok(ours));
    }

    #[test]
    fn numbers_of_every_size_survive(shift in 0_u32..64, bits in any::<u64>()) {
        let number = (bits >> shift).cast_signed();
        let mut bytes = Vec::new();
        push_number(&mut bytes, number);
        prop_assert!(bytes.len() <= COUNT_BYTES_MAX);
        prop_assert_eq!(take_number(&bytes), Ok((number, &[][..])));
        let cut = take_number(&bytes[..bytes.len() - 1]);
        prop_assert!(cut.is_err());
    }

    #[test]
    fn damaged_text_never_panics(position in 0_usize..200, byte in any::<u8>()) {
        let mut bytes = STANDARD.decode(sample().encode()).unwrap();
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(read) = Histogram::decode(&STANDARD.encode(&bytes), sample().exact()) {
            prop_assert_eq!(read.count(), sample().count());
        }
    }

    #[test]
    fn damaged_payloads_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut plain = sample().plain_form()[..HEADER_BYTES].to_vec();
        plain[4..8].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        plain.extend_from_slice(&payload);
        let _ = Histogram::decode(&deflated(&plain), Exact::default());
    }
}

#[test]
fn foreign_text_is_refused_with_its_reason() {
    let exact = sample().exact();
    let good = sample().plain_form();
    let changed = |range: std::ops::Range<usize>, value: &[u8]| {
        let mut plain = good.clone();
        plain[range].copy_from_slice(value);
        deflated(&plain)
    };
    let rows = [
        ("not base64!".to_owned(), "it is not base64"),
        (String::new(), "it ends too early"),
        (STANDARD.encode(&good), "it does not begin with the cookie of the deflated V2 form"),
        (STANDARD.encode([0x1c, 0x84, 0x93, 0x14, 0, 0, 0, 99, 1]), "it ends too early"),
        (STANDARD.encode([0x1c, 0x84, 0x93, 0x14, 0, 0, 0, 2, 1, 1]), "it does not inflate"),
        (
            deflated(&vec![0; HEADER_BYTES + COUNT_BYTES_MAX * BUCKET_COUNT + 1]),
            "it is longer than any histogram of the layout",
        ),
        (deflated(&good[..30]), "it ends too early"),
        (changed(0..4, &[0; 4]), "its inner form is not V2"),
        (changed(4..8, &u32::MAX.to_be_bytes()), "it ends too early"),
        (changed(8..12, &[0, 0, 0, 1]), "it is shifted or scaled"),
        (changed(32..40, &2.0_f64.to_be_bytes()), "it is shifted or scaled"),
    ];
    for (text, reason) in rows {
        assert_eq!(Histogram::decode(&text, exact), Err(MeasureError::Encoding { reason }), "{text:.40}");
    }
    let two_digits = changed(12..16, &[0, 0, 0, 2]);
    let refused = Histogram::decode(&two_digits, exact);
    assert_eq!(refused, Err(MeasureError::Layout { digits: 2, lowest_ns: 1 }));
    let other_figures = Exact { count: 1, ..exact };
    let refused = Histogram::decode(&deflated(&good), other_figures);
    assert_eq!(refused, Err(MeasureError::Contradiction { figure: "count" }));
}

#[test]
fn a_run_of_empty_buckets_beyond_the_layout_is_refused() {
    let mut payload = Vec::new();
    push_number(&mut payload, i64::MIN);
    push_number(&mut payload, 1);
    assert!(matches!(occupied(&payload), Err(MeasureError::BucketOutOfRange { .. })));
}

#[test]
fn the_full_layout_can_be_written_and_read() {
    let mut histogram = Histogram::new();
    for index in 0..BUCKET_COUNT {
        histogram.record_many(crate::layout::lowest_of(index), u64::from(u32::MAX) << (index % 20));
    }
    histogram.record(HIGHEST_NS);
    histogram.record(u64::MAX);
    assert_eq!(Histogram::decode(&histogram.encode(), histogram.exact()), Ok(histogram));
}
