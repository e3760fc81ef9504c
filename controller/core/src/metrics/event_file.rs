//! TensorFlow event files, as TensorBoard's writers make them: records of length, data and masked CRC-32C, each an
//! `Event` message with scalars. Read as they grow.

use std::sync::Arc;

use super::value::number;
use crate::ports::ObservationRow;
use crate::time::Timestamp;

/// Longest record that is read; a longer one is taken for damage.
const MAX_RECORD: u64 = 64 << 20;

/// Reads one event file from its start, in pieces of any size.
#[derive(Debug)]
pub struct EventFileParser {
    source: Arc<str>,
    /// Metrics wanted, with the folder that their file must lie in, if they name one.
    metrics: Vec<(Arc<str>, String, String)>,
    folder: String,
    pending: Vec<u8>,
    position: u64,
    damaged: bool,
    notes: Vec<String>,
}

impl EventFileParser {
    /// A parser of the file `name` in `folder` for these metrics. A metric `dir/m` takes tags that begin with `m` from
    /// files whose folder ends in `dir`; a metric `m` takes them from everywhere.
    pub fn new(source: impl Into<Arc<str>>, folder: &str, metrics: &[String]) -> Self {
        let split = |metric: &String| {
            let (dir, tag) = metric.rsplit_once('/').unwrap_or(("", metric));
            (Arc::from(metric.as_str()), dir.to_owned(), tag.to_owned())
        };
        Self {
            source: source.into(),
            metrics: metrics.iter().map(split).collect(),
            folder: folder.trim_end_matches('/').to_owned(),
            pending: Vec::new(),
            position: 0,
            damaged: false,
            notes: Vec::new(),
        }
    }

    /// Reads more; returns the rows of all records that are whole by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<ObservationRow> {
        let mut rows = Vec::new();
        if self.damaged {
            return rows;
        }
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let rest = &self.pending[at..];
            let Some(header) = rest.first_chunk::<12>() else {
                break;
            };
            let length = u64::from_le_bytes(header[..8].try_into().unwrap_or_default());
            let header_crc = u32::from_le_bytes(header[8..].try_into().unwrap_or_default());
            if masked_crc(&header[..8]) != header_crc || length > MAX_RECORD {
                self.damage(at as u64);
                break;
            }
            let length = length as usize;
            let Some(record) = rest.get(12..12 + length + 4) else {
                break;
            };
            let (data, crc) = record.split_at(length);
            if masked_crc(data).to_le_bytes() != crc {
                self.damage(at as u64);
                break;
            }
            let offset = self.position + at as u64;
            self.event(data, offset, &mut rows);
            at += 12 + length + 4;
        }
        self.pending.drain(..at);
        self.position += at as u64;
        rows
    }

    /// What there was to say since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn damage(&mut self, at: u64) {
        self.damaged = true;
        let place = self.position + at;
        self.notes.push(format!(
            "{}: the record at byte {place} is damaged; the rest of the file was passed over",
            self.source
        ));
    }

    fn event(&self, data: &[u8], offset: u64, rows: &mut Vec<ObservationRow>) {
        let (mut time, mut step) = (None, 0);
        let mut summaries = Vec::new();
        for field in fields(data) {
            match field {
                (1, Field::Fixed64(bits)) => time = Some(f64::from_bits(bits)),
                (2, Field::Varint(value)) => step = value as i64,
                (5, Field::Bytes(summary)) => summaries.push(summary),
                _ => {}
            }
        }
        let time =
            time.filter(|t| t.is_finite() && t.abs() < 9e12).map(|t| Timestamp((t * 1e6).round() as i64));
        let values = summaries.iter().flat_map(|summary| fields(summary)).filter_map(|field| match field {
            (1, Field::Bytes(value)) => Some(value),
            _ => None,
        });
        let mut nth = 0;
        for value in values {
            let Some((tag, text)) = scalar(value) else {
                continue;
            };
            for (metric, dir, base) in &self.metrics {
                if tag.starts_with(base.as_str()) && self.folder.ends_with(dir.as_str()) {
                    rows.push(ObservationRow {
                        source: Arc::clone(&self.source),
                        offset,
                        nth,
                        metric: Arc::clone(metric),
                        time,
                        step,
                        value: number(&text),
                        text: text.clone(),
                    });
                    nth += 1;
                }
            }
        }
    }
}

/// Tag and text of a summary value that is one number.
fn scalar(value: &[u8]) -> Option<(String, String)> {
    let (mut tag, mut text) = (String::new(), None);
    for field in fields(value) {
        match field {
            (1, Field::Bytes(name)) => tag = String::from_utf8_lossy(name).into_owned(),
            (2, Field::Fixed32(bits)) => text = Some(f32::from_bits(bits).to_string()),
            (8, Field::Bytes(tensor)) => text = text.or(tensor_scalar(tensor)),
            _ => {}
        }
    }
    Some((tag, text?))
}

/// The first element of a tensor of a numeric type (`TensorProto`).
fn tensor_scalar(tensor: &[u8]) -> Option<String> {
    const FLOAT: u64 = 1;
    const DOUBLE: u64 = 2;
    const INT32: u64 = 3;
    const INT64: u64 = 9;
    let mut kind = 0;
    let mut text = None;
    for field in fields(tensor) {
        let found = match field {
            (1, Field::Varint(value)) => {
                kind = value;
                None
            }
            (4, Field::Bytes(content)) => match kind {
                FLOAT => content.first_chunk().map(|bytes| f32::from_le_bytes(*bytes).to_string()),
                DOUBLE => content.first_chunk().map(|bytes| f64::from_le_bytes(*bytes).to_string()),
                INT32 => content.first_chunk().map(|bytes| i32::from_le_bytes(*bytes).to_string()),
                INT64 => content.first_chunk().map(|bytes| i64::from_le_bytes(*bytes).to_string()),
                _ => None,
            },
            // Repeated numbers come packed, or one by one.
            (5, Field::Bytes(packed)) => {
                packed.first_chunk().map(|bytes| f32::from_le_bytes(*bytes).to_string())
            }
            (5, Field::Fixed32(bits)) => Some(f32::from_bits(bits).to_string()),
            (6, Field::Bytes(packed)) => {
                packed.first_chunk().map(|bytes| f64::from_le_bytes(*bytes).to_string())
            }
            (6, Field::Fixed64(bits)) => Some(f64::from_bits(bits).to_string()),
            (7 | 10, Field::Bytes(packed)) => varint(packed).map(|(value, _)| (value as i64).to_string()),
            (7 | 10, Field::Varint(value)) => Some((value as i64).to_string()),
            _ => None,
        };
        text = text.or(found);
    }
    text
}

/// A field of a protocol buffer message.
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The fields of a message; ends at the first byte that makes no sense.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let (key, rest) = varint(message)?;
        let (field, rest) = match key & 7 {
            0 => {
                let (value, rest) = varint(rest)?;
                (Field::Varint(value), rest)
            }
            1 => (Field::Fixed64(u64::from_le_bytes(*rest.first_chunk()?)), &rest[8..]),
            5 => (Field::Fixed32(u32::from_le_bytes(*rest.first_chunk()?)), &rest[4..]),
            2 => {
                let (length, rest) = varint(rest)?;
                let length = usize::try_from(length).ok()?;
                (Field::Bytes(rest.get(..length)?), &rest[length..])
            }
            _ => return None,
        };
        message = rest;
        Some((key >> 3, field))
    })
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// TensorFlow's masked CRC-32C: rotated right by 15 and shifted by a constant.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = !bytes
        .iter()
        .fold(!0_u32, |crc, byte| (crc >> 8) ^ CRC_TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u64).to_le_bytes();
        [&length[..], &masked_crc(&length).to_le_bytes(), data, &masked_crc(data).to_le_bytes()].concat()
    }

    /// An event with one scalar, put together by hand.
    fn event(step: u8, tag: &str, value: f32) -> Vec<u8> {
        let mut summary = vec![0x0a, tag.len() as u8];
        summary.extend(tag.as_bytes());
        summary.push(0x15);
        summary.extend(value.to_le_bytes());
        let mut data = vec![0x09];
        data.extend(1_700_000_000.5_f64.to_le_bytes());
        data.extend([0x10, step, 0x2a, summary.len() as u8 + 2, 0x0a, summary.len() as u8]);
        data.extend(summary);
        record(&data)
    }

    fn parser(metrics: &[&str]) -> EventFileParser {
        let metrics: Vec<String> = metrics.iter().map(|m| (*m).to_owned()).collect();
        EventFileParser::new("events.1", "/logs/test", &metrics)
    }

    #[test]
    fn crc_is_castagnoli_s() {
        // The check value of CRC-32C for "123456789" is 0xe3069283.
        assert_eq!(masked_crc(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn scalars_are_read_however_the_file_is_cut() {
        let bytes = [event(1, "accuracy", 0.5), event(2, "accuracy", 0.75), event(2, "loss", 9.0)].concat();
        for cut in 0..bytes.len() {
            let mut parser = parser(&["accuracy"]);
            let mut rows = parser.push(&bytes[..cut]);
            rows.extend(parser.push(&bytes[cut..]));
            let seen: Vec<_> = rows.iter().map(|r| (r.step, r.text.as_str())).collect();
            assert_eq!(seen, [(1, "0.5"), (2, "0.75")]);
            assert_eq!(rows[0].time, Some(Timestamp(1_700_000_000_500_000)));
        }
    }

    #[test]
    fn a_folder_in_the_metric_s_name_chooses_files() {
        assert_eq!(parser(&["test/acc"]).push(&event(1, "accuracy", 0.5)).len(), 1);
        assert_eq!(parser(&["train/acc"]).push(&event(1, "accuracy", 0.5)).len(), 0);
    }

    #[test]
    fn damage_is_said_and_what_came_before_is_kept() {
        let mut bytes = [event(1, "accuracy", 0.5), event(2, "accuracy", 0.75)].concat();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        let mut parser = parser(&["accuracy"]);
        assert_eq!(parser.push(&bytes).len(), 1);
        assert_eq!(parser.take_notes().len(), 1);
        assert!(parser.push(&event(3, "accuracy", 1.0)).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            parser(&["a"]).push(&bytes);
            parser(&["a"]).push(&record(&bytes));
        }
    }
}
