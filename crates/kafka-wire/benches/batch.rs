//! Speed of the batch layer, in bytes of (decompressed) batches per second.
//!
//! A memory copy and a CRC-32C of the same bytes run beside it: read the figures as ratios to those. Run with
//! `cargo bench -p kafka-wire --bench batch`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kafka_wire::batch::{
    AppendedHeader, BatchBuilder, BatchError, BatchIter, CRC_START, Codec, HEADER_LEN, Header,
    LENGTH_OVERHEAD, LogEntry, NewRecord, ProducePatch, RawBatch, RecordIter, TranscodeOptions, Transcoder,
    crc32c,
};
use kafka_wire::codec::{Compressor, Decompressor};

const BATCH_BYTES: usize = 1 << 20;
const LIMIT: usize = 64 << 20;
/// More than any cache holds.
const COLD_BYTES: usize = 320 << 20;
/// Names and sizes of the records.
const SHAPES: [(&str, usize); 2] = [("100 B", 100), ("1 KB", 1000)];

/// Pseudo-random numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

const WORDS: [&str; 8] = [
    "status",
    "customer",
    "amount",
    "warehouse",
    "created_at",
    "currency",
    "completed",
    "berlin",
];

/// A JSON value of `size` bytes; zstd makes about a fifth of it.
fn value(size: usize, numbers: &mut Numbers) -> Vec<u8> {
    let mut value = format!("{{\"id\":{}", numbers.next());
    while value.len() + 1 < size {
        let mut word = || WORDS[(numbers.next() % 8) as usize];
        value.push_str(&format!(",\"{}\":\"{}\"", word(), word()));
        if numbers.next().is_multiple_of(4) {
            value.push_str(&format!(",\"count\":{}", numbers.next() % 10_000));
        }
    }
    value.truncate(size - 1);
    value.push('}');
    value.into_bytes()
}

/// A batch of about 1 MiB before compression.
fn batch(codec: Codec, size: usize, headers: &[Header<'_>]) -> Result<RawBatch, BatchError> {
    batch_of(codec, size, headers, BATCH_BYTES, 1)
}

fn batch_of(
    codec: Codec,
    size: usize,
    headers: &[Header<'_>],
    total: usize,
    seed: u64,
) -> Result<RawBatch, BatchError> {
    let mut numbers = Numbers(seed);
    let mut builder = BatchBuilder::new()
        .compression(codec, None)
        .base_offset(123_456_789);
    let mut bytes = 0;
    let mut timestamp = 1_700_000_000_000;
    while bytes < total {
        let key = numbers.next().to_be_bytes();
        let value = value(size, &mut numbers);
        bytes += size + 20;
        timestamp += 3;
        builder.push(&NewRecord {
            timestamp,
            key: Some(&key),
            value: Some(&value),
            headers,
        })?;
    }
    builder.build()
}

fn throughput(size: usize) -> Result<Throughput, BatchError> {
    Ok(Throughput::Bytes(
        batch(Codec::None, size, &[])?.stored_records().len() as u64,
    ))
}

fn floors(c: &mut Criterion) -> Result<(), BatchError> {
    let mut group = c.benchmark_group("floor");
    let bytes = batch(Codec::None, 1000, &[])?.bytes;
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut target = vec![0; bytes.len()];
    group.bench_function("memory copy", |b| {
        b.iter(|| {
            target.copy_from_slice(black_box(&bytes));
            black_box(&mut target);
        });
    });
    group.bench_function("crc32c", |b| b.iter(|| crc32c(black_box(&bytes))));
    group.finish();
    Ok(())
}

/// The operations whose speed is a promise, and the floors of each: `table/...`.
fn table(c: &mut Criterion) -> Result<(), BatchError> {
    scan_cold(c)?;
    walk_and_append(c)?;
    zstd_decode(c)
}

/// What a backup does with every fetched slab: find the batches, check their CRCs. The bytes come from memory.
fn scan_cold(c: &mut Criterion) -> Result<(), BatchError> {
    let mut group = c.benchmark_group("table/scan and crc, 16 KiB batches, cold");
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord {
        value: Some(&[b'x'; 16 << 10]),
        ..NewRecord::default()
    })?;
    let one = builder.build()?.bytes;
    // Each piece comes round again only after all the others.
    let whole = Bytes::from(one.repeat(COLD_BYTES / one.len()));
    let piece = one.len() * 64;
    let mut pieces = (0..whole.len() / piece)
        .map(|index| whole.slice(index * piece..(index + 1) * piece))
        .cycle();
    let mut next = || pieces.next().unwrap_or_default();
    group.throughput(Throughput::Bytes(piece as u64));
    group.bench_function("ours", |b| {
        b.iter(|| {
            BatchIter::new(next()).try_for_each(|entry| match entry? {
                LogEntry::Batch(batch) => batch.verify_crc(),
                LogEntry::Legacy(entry) => entry.verify_crc(),
            })
        });
    });
    floors_of(&mut group, next);
    group.finish();
    Ok(())
}

/// A memory copy and a CRC-32C of the same bytes.
fn floors_of(group: &mut BenchmarkGroup<'_, WallTime>, mut next: impl FnMut() -> Bytes) {
    let mut target = vec![0; next().len()];
    group.bench_function("memcpy", |b| {
        b.iter(|| {
            target.copy_from_slice(&next());
            black_box(&mut target);
        });
    });
    group.bench_function("crc32c", |b| b.iter(|| crc32c(&next())));
}

fn walk_and_append(c: &mut Criterion) -> Result<(), BatchError> {
    let batch = batch(Codec::None, 100, &[])?;
    let mut group = c.benchmark_group("table/1 MiB of 100 B records");
    group.throughput(Throughput::Bytes(batch.bytes.len() as u64));
    let mut decompressor = Decompressor::new();
    let mut scratch = Vec::new();
    group.bench_function("walk", |b| {
        b.iter(|| sum(decompressor.records(black_box(&batch), LIMIT, &mut scratch)?));
    });
    let three = AppendedHeader::original_position(Some("production"));
    for (name, append) in [
        ("append one header", &three[..1]),
        ("append three headers", &three[..]),
    ] {
        let mut transcoder = Transcoder::new(TranscodeOptions {
            append: append.to_vec(),
            max_batch_bytes: 4 << 20,
            ..TranscodeOptions::default()
        })?;
        group.bench_function(name, |b| {
            b.iter(|| {
                black_box(&batch).verify_crc()?;
                transcoder.transcode(black_box(&batch))
            });
        });
    }
    let patch = ProducePatch {
        producer_id: 4000,
        producer_epoch: 1,
        base_sequence: 77,
    };
    group.bench_function("patch the header", |b| {
        b.iter(|| black_box(patch).patched_header(black_box(&batch)));
    });
    floors_of(&mut group, || black_box(batch.bytes.clone()));
    group.finish();
    Ok(())
}

/// The batch as the Java client compresses it: as a stream whose length is not known at its beginning. Other tables are chosen
/// for that than for a buffer of 16 KiB, and the result takes another time to decompress.
fn in_zstd_as_from_java(plain: &RawBatch) -> Result<RawBatch, BatchError> {
    use zstd_safe::zstd_sys::ZSTD_EndDirective::{ZSTD_e_continue, ZSTD_e_end};
    let records = plain.stored_records();
    let mut bytes = vec![0; HEADER_LEN + zstd_safe::compress_bound(records.len())];
    let mut output = zstd_safe::OutBuffer::around_pos(&mut bytes[..], HEADER_LEN);
    let mut input = zstd_safe::InBuffer::around(records);
    let mut context = zstd_safe::CCtx::create();
    for directive in [ZSTD_e_continue, ZSTD_e_end] {
        let left = context.compress_stream2(&mut output, &mut input, directive);
        assert_eq!(left.map_err(zstd_safe::get_error_name), Ok(0));
    }
    let end = output.pos();
    bytes.truncate(end);
    let mut header = plain.header;
    header.attributes |= i16::from(Codec::Zstd.id());
    header.length = (end - LENGTH_OVERHEAD) as i32;
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    header.crc = crc32c(&bytes[CRC_START..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    let batch = RawBatch::parse(Bytes::from(bytes))?;
    batch.verify_crc()?;
    Ok(batch)
}

/// Decompression and a walk of 1 MiB in small batches, by the decompressed bytes; zstd alone is a floor of its own.
fn zstd_decode(c: &mut Criterion) -> Result<(), BatchError> {
    const PIECE: usize = 16 << 10;
    // Each with other records, so that the processor cannot learn one by heart.
    let plain: Vec<RawBatch> = (0..BATCH_BYTES / PIECE)
        .map(|seed| batch_of(Codec::None, 100, &[], PIECE, seed as u64))
        .collect::<Result<_, _>>()?;
    let batches: Vec<RawBatch> = plain.iter().map(in_zstd_as_from_java).collect::<Result<_, _>>()?;
    let expanded: Vec<usize> = plain.iter().map(|batch| batch.stored_records().len()).collect();
    let mut group = c.benchmark_group("table/1 MiB of 100 B records in zstd, 16 KiB batches");
    group.throughput(Throughput::Bytes(expanded.iter().sum::<usize>() as u64));
    let mut decompressor = Decompressor::new();
    let mut scratch = Vec::new();
    group.bench_function("decode and walk", |b| {
        b.iter(|| {
            batches.iter().try_fold(0, |all, batch| {
                Ok::<_, BatchError>(all + sum(decompressor.records(black_box(batch), LIMIT, &mut scratch)?)?)
            })
        });
    });
    let mut context = zstd_safe::DCtx::create();
    let mut target = vec![0; LIMIT];
    group.bench_function("zstd alone", |b| {
        b.iter(|| {
            for (batch, expanded) in batches.iter().zip(&expanded) {
                let written = context.decompress(&mut target[..], black_box(batch.stored_records()));
                assert_eq!(black_box(written), Ok(*expanded));
            }
        });
    });
    let together: Vec<u8> = plain
        .iter()
        .flat_map(|batch| batch.stored_records().to_vec())
        .collect();
    let together = Bytes::from(together);
    floors_of(&mut group, || black_box(together.clone()));
    group.finish();
    Ok(())
}

fn sum(records: RecordIter<'_>) -> Result<usize, BatchError> {
    let mut sum = 0;
    for record in records {
        let record = record?;
        sum += record.value.map_or(0, <[u8]>::len) + record.headers.len();
    }
    Ok(sum)
}

/// What a backup does with every fetched slab: find the batches, check their CRCs.
fn scan(c: &mut Criterion) -> Result<(), BatchError> {
    let mut group = c.benchmark_group("scan and crc");
    for (name, payload) in [
        ("1 MiB batches", BATCH_BYTES),
        ("16 KiB batches", 16 << 10),
        ("1 KiB batches", 1 << 10),
    ] {
        let mut builder = BatchBuilder::new();
        builder.push(&NewRecord {
            value: Some(&vec![b'x'; payload]),
            ..NewRecord::default()
        })?;
        let one = builder.build()?.bytes;
        let slab = Bytes::from(one.repeat((8 << 20) / one.len()));
        group.throughput(Throughput::Bytes(slab.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let check = |entry| match entry? {
                    LogEntry::Batch(batch) => batch.verify_crc(),
                    LogEntry::Legacy(entry) => entry.verify_crc(),
                };
                BatchIter::new(black_box(slab.clone())).try_for_each(check)
            });
        });
    }
    group.finish();
    Ok(())
}

fn walk(c: &mut Criterion) -> Result<(), BatchError> {
    let mut group = c.benchmark_group("walk");
    for (name, size) in SHAPES {
        group.throughput(throughput(size)?);
        for codec in Codec::ALL {
            let batch = batch(codec, size, &[])?;
            let mut decompressor = Decompressor::new();
            let mut scratch = Vec::new();
            group.bench_function(BenchmarkId::new(codec.name(), name), |b| {
                b.iter(|| sum(decompressor.records(black_box(&batch), LIMIT, &mut scratch)?));
            });
        }
    }
    group.finish();
    Ok(())
}

fn patch(c: &mut Criterion) -> Result<(), BatchError> {
    let mut group = c.benchmark_group("patch");
    let batch = batch(Codec::None, 1000, &[])?;
    let patch = ProducePatch {
        producer_id: 4000,
        producer_epoch: 1,
        base_sequence: 77,
    };
    group.bench_function("header of a 1 MiB batch", |b| {
        b.iter(|| black_box(patch).patched_header(black_box(&batch)));
    });
    group.finish();
    Ok(())
}

fn transcode(c: &mut Criterion) -> Result<(), BatchError> {
    let mut group = c.benchmark_group("append three headers");
    let own = [Header {
        name: b"trace-id",
        value: Some(b"0123456789abcdef"),
    }];
    for (name, size) in SHAPES {
        group.throughput(throughput(size)?);
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            for (kind, headers) in [("", &own[..0]), (" with a header", &own[..])] {
                let batch = batch(codec, size, headers)?;
                let mut transcoder = Transcoder::new(TranscodeOptions {
                    append: AppendedHeader::original_position(Some("production")),
                    max_batch_bytes: 4 << 20,
                    ..TranscodeOptions::default()
                })?;
                group.bench_function(BenchmarkId::new(codec.name(), format!("{name}{kind}")), |b| {
                    b.iter(|| transcoder.transcode(black_box(&batch)));
                });
            }
        }
    }
    group.finish();
    Ok(())
}

fn compress(c: &mut Criterion) -> Result<(), BatchError> {
    let mut group = c.benchmark_group("compress");
    let plain = batch(Codec::None, 1000, &[])?;
    group.throughput(Throughput::Bytes(plain.stored_records().len() as u64));
    let mut compressor = Compressor::new();
    let mut out = Vec::new();
    for codec in &Codec::ALL[1..] {
        group.bench_function(codec.name(), |b| {
            b.iter(|| {
                out.clear();
                compressor.compress(*codec, None, black_box(plain.stored_records()), &mut out)
            });
        });
    }
    group.finish();
    Ok(())
}

fn all(c: &mut Criterion) {
    let results = [
        table(c),
        floors(c),
        scan(c),
        walk(c),
        patch(c),
        transcode(c),
        compress(c),
    ];
    for result in results {
        assert_eq!(result, Ok(()));
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
