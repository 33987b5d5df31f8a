//! The page's long lists, lowered a record at a time.
//!
//! Generated bindings write a record into a plugin's memory field by field, and look up that memory for each: 16 times for a
//! span, so that `add-page` with 60 spans took 11.4 us where it takes 3.6 now. Here the memory is looked up once a list. The layouts are those of the canonical
//! ABI (component model, `CanonicalABI.md`, "Storing"): fields in order, each aligned to its own size. In these records that is
//! four bytes for all that follow each other.

use super::convert::all;
use super::imports::types;
use crate::state::{PageHandle, State};
use ocr_document as doc;
use std::mem::MaybeUninit;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext};
use wasmtime::component::{ComponentType, Linker, Lower, Resource};
use wasmtime::{Result, StoreContextMut};

/// Puts the functions that answer long lists in the place of the generated ones.
pub fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    let mut page = linker.instance("ocr-host:plugin/page@0.1.0")?;
    page.func_wrap("[method]page.spans", |state, (this,)| {
        records(state, this, doc::Page::spans)
    })?;
    page.func_wrap("[method]page.lines", |state, (this,)| {
        records(state, this, doc::Page::lines)
    })?;
    page.func_wrap("[method]page.words", |state, (this,)| {
        records(state, this, doc::Page::words)
    })?;
    page.func_wrap("[method]page.cells", |state, (this,)| {
        records(state, this, doc::Page::cells)
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

type Records<T> = Result<(Vec<Packed<T>>,)>;

fn records<T: Record>(
    mut state: StoreContextMut<'_, State>,
    this: Resource<PageHandle>,
    of: impl Fn(&doc::Page) -> &[T],
) -> Records<T> {
    let state = state.data_mut();
    state.enter()?;
    Ok((all(of(state.table.get(&this)?)),))
}

/// A record of a list, written as one piece.
struct Packed<T>(T);

impl<T: Clone> From<&T> for Packed<T> {
    fn from(record: &T) -> Self {
        Self(record.clone())
    }
}

/// A record of fixed size.
trait Record: Clone + Send + Sync + 'static {
    /// The generated type, whose layout it has.
    type Generated: Lower;

    fn generated(&self) -> Self::Generated;

    /// Writes all fields.
    fn store(&self, fields: &mut Fields<'_>);
}

// SAFETY: everything is the generated type's own.
#[allow(unsafe_code)]
unsafe impl<T: Record> ComponentType for Packed<T> {
    type Lower = <T::Generated as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <T::Generated as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        T::Generated::typecheck(ty, types)
    }
}

// SAFETY: single records are lowered by the generated type. A list's memory is written through a checked slice of exactly its
// records' size; what is written are plain numbers, which every bit pattern is one of, and discriminants that exist.
#[allow(unsafe_code)]
unsafe impl<T: Record> Lower for Packed<T> {
    fn linear_lower_to_flat<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        to: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        self.0.generated().linear_lower_to_flat(cx, ty, to)
    }

    fn linear_lower_to_memory<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        self.0.generated().linear_lower_to_memory(cx, ty, offset)
    }

    fn linear_store_list_to_memory<U>(
        cx: &mut LowerContext<'_, U>,
        _: InterfaceType,
        offset: usize,
        records: &[Self],
    ) -> Result<()> {
        let memory = &mut cx.as_slice_mut()[offset..][..records.len() * Self::SIZE32];
        for (record, bytes) in records.iter().zip(memory.chunks_exact_mut(Self::SIZE32)) {
            let mut fields = Fields { bytes, at: 0 };
            record.0.store(&mut fields);
            assert_eq!(fields.at, Self::SIZE32, "every field is written");
        }
        Ok(())
    }
}

/// A record's bytes, filled from the front.
struct Fields<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Fields<'_> {
    /// A byte, and zeros up to the next field of four bytes.
    #[inline]
    fn byte(&mut self, value: u8) -> &mut Self {
        self.int(value.into())
    }

    #[inline]
    fn int(&mut self, value: u32) -> &mut Self {
        self.bytes[self.at..][..4].copy_from_slice(&value.to_le_bytes());
        self.at += 4;
        self
    }

    #[inline]
    fn float(&mut self, value: f32) -> &mut Self {
        self.int(value.to_bits())
    }

    /// An option of fields: a discriminant of one byte, then the fields or as much room.
    #[inline]
    fn option<const N: usize>(&mut self, fields: Option<[u32; N]>) -> &mut Self {
        self.int(fields.is_some().into()).ints(fields.unwrap_or([0; N]))
    }

    #[inline]
    fn ints<const N: usize>(&mut self, values: [u32; N]) -> &mut Self {
        for value in values {
            self.int(value);
        }
        self
    }

    #[inline]
    fn confidence(&mut self, confidence: Option<f32>) -> &mut Self {
        self.option(confidence.map(|c| [c.to_bits()]))
    }

    #[inline]
    fn slice(&mut self, slice: doc::Slice) -> &mut Self {
        self.ints([slice.start, slice.len])
    }

    #[inline]
    fn quad(&mut self, quad: doc::Quad) -> &mut Self {
        for corner in [quad.a, quad.b, quad.c, quad.d] {
            self.float(corner.x).float(corner.y);
        }
        self
    }

    /// A line or a word: what it is a part of, where it stands, and what it says.
    #[inline]
    fn printed(&mut self, of: u32, outline: doc::Quad, confidence: Option<f32>, text: doc::Slice) {
        self.int(of).quad(outline).confidence(confidence).slice(text);
    }
}

fn corners(area: doc::Rect) -> [u32; 4] {
    [area.x0, area.y0, area.x1, area.y1]
}

impl Record for doc::Span {
    type Generated = types::Span;

    fn generated(&self) -> types::Span {
        self.into()
    }

    fn store(&self, fields: &mut Fields<'_>) {
        fields
            .byte(types::BlockKind::from(self.kind) as u8)
            .int(self.label)
            .byte(self.level)
            .int(self.order)
            .option(self.parent.map(|parent| [parent]))
            .ints(corners(self.area))
            .confidence(self.confidence)
            .slice(self.text)
            .slice(self.markup);
    }
}

impl Record for doc::Line {
    type Generated = types::Line;

    fn generated(&self) -> types::Line {
        self.into()
    }

    fn store(&self, fields: &mut Fields<'_>) {
        fields.printed(self.span, self.outline, self.confidence, self.text);
    }
}

impl Record for doc::Word {
    type Generated = types::Word;

    fn generated(&self) -> types::Word {
        self.into()
    }

    fn store(&self, fields: &mut Fields<'_>) {
        fields.printed(self.line, self.outline, self.confidence, self.text);
    }
}

impl Record for doc::Cell {
    type Generated = types::Cell;

    fn generated(&self) -> types::Cell {
        self.into()
    }

    fn store(&self, fields: &mut Fields<'_>) {
        fields
            .int(self.table)
            .byte(types::CellKind::from(self.kind) as u8)
            .int(self.row)
            .int(self.column)
            .int(self.row_span)
            .int(self.column_span)
            .option(self.area.map(corners))
            .confidence(self.confidence)
            .slice(self.text);
    }
}
