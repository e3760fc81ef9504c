//! What a controller has learnt as bytes, bit for bit.

/// Numbers written one after the other, little-endian.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, n: u64) {
        self.0.extend(n.to_le_bytes());
    }

    pub(super) fn float(&mut self, x: f64) {
        self.number(x.to_bits());
    }

    /// Floats behind their number.
    pub(super) fn floats(&mut self, floats: &[f64]) {
        self.number(floats.len() as u64);
        floats.iter().for_each(|x| self.float(*x));
    }

    /// Small numbers behind their number.
    pub(super) fn numbers(&mut self, numbers: &[usize]) {
        self.number(numbers.len() as u64);
        numbers.iter().for_each(|n| self.number(*n as u64));
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What is left to be read. Everything is `None` past the end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    pub(super) fn float(&mut self) -> Option<f64> {
        self.number().map(f64::from_bits).filter(|x| x.is_finite())
    }

    /// How many of something follow, 8 bytes each at least.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len() / 8).then_some(count)
    }

    pub(super) fn floats(&mut self) -> Option<Vec<f64>> {
        (0..self.count()?).map(|_| self.float()).collect()
    }

    pub(super) fn numbers(&mut self) -> Option<Vec<usize>> {
        (0..self.count()?).map(|_| usize::try_from(self.number()?).ok()).collect()
    }
}
