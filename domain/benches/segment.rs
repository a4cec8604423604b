//! Counting segments: it runs for every step of every contact that is priced, and again for every
//! message that is sent.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dripline_domain::segment::{Atom, SegmentRules, SmartEncoding, smart_encode};

fn count(criterion: &mut Criterion) {
    let code_points = SegmentRules::default();
    let graphemes = SegmentRules { atom: Atom::Grapheme, ..code_points };
    let plain = "Hi Anna, your table for two is waiting; answer STOP to end. ".repeat(5);
    let accented = "Ciao Niccolò, perché non torni? È tutto pronto, 10 € per te. ".repeat(5);
    let emoji = plain.clone() + "👨‍👩‍👧 🇮🇹 🐳";
    let mut group = criterion.benchmark_group("count");
    for (name, rules, text) in [
        ("ascii", &code_points, &plain),
        ("accents", &code_points, &accented),
        ("emoji at the end, by code point", &code_points, &emoji),
        ("emoji at the end, by grapheme", &graphemes, &emoji),
    ] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| rules.count(black_box(text))));
    }
    group.finish();
}

fn smart(criterion: &mut Criterion) {
    let text = "“Don’t” wait — it’s ½ price…".repeat(5);
    criterion.bench_function("smart_encode", |bencher| {
        bencher.iter(|| smart_encode(black_box(&text), SmartEncoding::Typography).len());
    });
}

criterion_group!(benches, count, smart);
criterion_main!(benches);
