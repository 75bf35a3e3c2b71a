//! A file whose changes stay in memory, so that the engine's own recovery can be tried on a file without touching it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::file::LockedFile;

const BLOCK: u64 = 4096;

/// What would be in the file if it were written to.
#[derive(Debug)]
pub(super) struct Overlay {
    file: LockedFile,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// How much of the file still shows: what was cut off comes back as zeros.
    visible: u64,
    /// Blocks that differ from the file, by number.
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn new(file: LockedFile) -> io::Result<Self> {
        let length = file.length()?;
        Ok(Self { file, state: Mutex::new(State { length, visible: length, blocks: BTreeMap::new() }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One block as it would be now.
    fn block(&self, state: &State, number: u64) -> io::Result<Box<[u8]>> {
        if let Some(block) = state.blocks.get(&number) {
            return Ok(block.clone());
        }
        let start = number * BLOCK;
        let mut block = vec![0; usize_of(BLOCK)].into_boxed_slice();
        let present = state.visible.saturating_sub(start).min(BLOCK);
        self.file.read_at(start, &mut block[..usize_of(present)])?;
        Ok(block)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset.saturating_add(out.len() as u64) > state.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, part) in pieces(offset, out.len()) {
            let block = self.block(&state, number)?;
            let length = part.len();
            out[part].copy_from_slice(&block[within..within + length]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if length < state.length {
            state.visible = state.visible.min(length);
            let _gone = state.blocks.split_off(&length.div_ceil(BLOCK));
            let within = usize_of(length % BLOCK);
            if let Some(last) = state.blocks.get_mut(&(length / BLOCK)) {
                last[within..].fill(0);
            }
        }
        state.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.length = state.length.max(offset.saturating_add(data.len() as u64));
        for (number, within, part) in pieces(offset, data.len()) {
            let mut block = self.block(&state, number)?;
            block[within..within + part.len()].copy_from_slice(&data[part]);
            state.blocks.insert(number, block);
        }
        Ok(())
    }
}

/// Cuts `length` bytes at `offset` at the borders of blocks: block number, place in the block, part of the bytes.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = usize_of(at % BLOCK);
        let part = done..length.min(done + usize_of(BLOCK) - within);
        done = part.end;
        (!part.is_empty()).then_some((at / BLOCK, within, part))
    })
}

fn usize_of(at_most_a_block: u64) -> usize {
    usize::try_from(at_most_a_block).expect("a block fits in memory")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::paths::hex;
    use crate::secret::random_bytes;

    #[test]
    fn it_behaves_as_a_file_and_leaves_the_file_alone() {
        let path = std::env::temp_dir().join(format!("authsome-overlay-{}", hex(&random_bytes::<8>())));
        let original: Vec<u8> = (0..20_000_u32).map(|at| at.to_le_bytes()[0] | 1).collect();
        fs::write(&path, &original).expect("writes");
        let overlay = Overlay::new(LockedFile::open(&path).expect("opens")).expect("opens");
        let mut model = original.clone();
        for _ in 0..2000 {
            let [kind, fill, a, b, c, d] = random_bytes();
            let at = usize::from(u16::from_le_bytes([a, b])) % 30_000;
            let length = usize::from(u16::from_le_bytes([c, d])) % 9_000;
            match kind % 8 {
                0 => {
                    overlay.set_len(at as u64).expect("memory");
                    model.resize(at, 0);
                }
                1..5 => {
                    overlay.write(at as u64, &vec![fill; length]).expect("memory");
                    model.resize(model.len().max(at + length), 0);
                    model[at..at + length].fill(fill);
                }
                _ => {
                    let mut out = vec![0; length];
                    let read = overlay.read(at as u64, &mut out);
                    match model.get(at..at + length) {
                        Some(expected) => assert!(read.is_ok() && out == expected, "{length} bytes at {at}"),
                        None => assert!(read.is_err(), "beyond the end"),
                    }
                }
            }
            assert_eq!(overlay.len().expect("memory"), model.len() as u64);
        }
        assert!(fs::read(&path).expect("reads") == original);
        fs::remove_file(path).expect("removes");
    }
}
