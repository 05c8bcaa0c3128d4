//! Temporary files of stages that outgrow their memory. A file has no name and goes away with its handle.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use bson::raw::RawDocumentBuf;

use crate::aggregate::Row;
use crate::aggregate::pipeline::Run;
use crate::error::{CommandError, CommandResult, code};

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::new(code::OUT_OF_DISK_SPACE, format!("a temporary file of the aggregation failed: {error}"))
}

/// Entries of a key and a row: lengths as 32 bits, then the bytes.
pub(super) struct Writer {
    file: BufWriter<File>,
}

impl Writer {
    pub fn create(run: &Run) -> CommandResult<Self> {
        let file = match &run.options.spill_directory {
            Some(directory) => tempfile::tempfile_in(directory),
            None => tempfile::tempfile(),
        };
        Ok(Self { file: BufWriter::new(file.map_err(failed)?) })
    }

    pub fn write(&mut self, key: &[u8], row: Row) -> CommandResult<()> {
        let row = row.into_raw()?;
        let length = u32::try_from(key.len()).map_err(failed)?;
        self.file.write_all(&length.to_le_bytes()).map_err(failed)?;
        self.file.write_all(key).map_err(failed)?;
        self.file.write_all(row.as_bytes()).map_err(failed)
    }

    pub fn into_reader(self) -> CommandResult<Reader> {
        let mut file = self.file.into_inner().map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(Reader { file: BufReader::new(file) })
    }
}

/// The entries in the order they were written.
pub(super) struct Reader {
    file: BufReader<File>,
}

impl Reader {
    fn entry(&mut self) -> CommandResult<Option<(Vec<u8>, Row)>> {
        let mut length = [0; 4];
        match self.file.read(&mut length[..1]).map_err(failed)? {
            0 => return Ok(None),
            _ => self.file.read_exact(&mut length[1..]).map_err(failed)?,
        }
        let mut key = vec![0; u32::from_le_bytes(length) as usize];
        self.file.read_exact(&mut key).map_err(failed)?;
        // A document begins with its own length.
        self.file.read_exact(&mut length).map_err(failed)?;
        let size = u32::from_le_bytes(length) as usize;
        let mut bytes = length.to_vec();
        bytes.resize(size.max(5), 0);
        self.file.read_exact(&mut bytes[4..]).map_err(failed)?;
        Ok(Some((key, Row::Raw(RawDocumentBuf::from_bytes(bytes).map_err(failed)?))))
    }
}

impl Iterator for Reader {
    type Item = CommandResult<(Vec<u8>, Row)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entry().transpose()
    }
}
