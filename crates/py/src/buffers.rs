//! Bytes across the door: Python's buffers on the way in, mapped pages on the way out.

use std::ffi::c_int;

use loky_engine::answer::{Answer, AnswerStream, AnswerView};
use loky_engine::front::Buffer;
use loky_worker::View as TaskView;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

/// Buffers of at least this many bytes travel beside the pickle stream.
pub(crate) const BUFFER_MIN_BYTES: u64 = loky_engine::BUFFER_MIN_BYTES;

/// A buffer that Python exports, held until its bytes have been copied.
pub(crate) struct Exported(PyUntypedBuffer);

impl Exported {
    /// Holds the buffer of an object.
    ///
    /// # Errors
    /// `BufferError` where the object has none, or one whose bytes do not lie side by side.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(object)?;
        if buffer.is_c_contiguous() || buffer.is_fortran_contiguous() {
            Ok(Self(buffer))
        } else {
            Err(PyBufferError::new_err(
                "a buffer beside the stream must be contiguous",
            ))
        }
    }
}

impl Buffer for Exported {
    fn bytes(&self) -> &[u8] {
        let len = self.0.len_bytes();
        if len == 0 {
            return &[];
        }
        // SAFETY: the exporter promises `len` contiguous bytes at `buf_ptr` until the buffer is
        // released, and `self` holds it. Python code that writes to them meanwhile races with the
        // copy as it would with any reader; bytes have no invalid values.
        unsafe { std::slice::from_raw_parts(self.0.buf_ptr().cast::<u8>(), len) }
    }
}

/// The bytes of a `bytes` object, which cannot change while it is held.
pub(crate) struct Constant(PyBackedBytes);

impl Constant {
    /// Holds an object of exactly this type; `None` where it is another.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> Option<Self> {
        let bytes = object.cast_exact::<PyBytes>().ok()?;
        Some(Self(PyBackedBytes::from(bytes.clone())))
    }
}

impl Buffer for Constant {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn is_constant(&self) -> bool {
        true
    }
}

/// Pages that somebody keeps mapped, for the buffer protocol.
enum Pages {
    Answer(AnswerView),
    Task(TaskView),
}

/// Mapped bytes, writable and private to this process. Supports the buffer protocol; the pages stay
/// while any buffer of it is held.
#[pyclass(frozen, module = "loky._native")]
pub(crate) struct View {
    pages: Pages,
}

impl View {
    pub(crate) fn of_answer(view: AnswerView) -> Self {
        Self {
            pages: Pages::Answer(view),
        }
    }

    pub(crate) fn of_task(view: TaskView) -> Self {
        Self {
            pages: Pages::Task(view),
        }
    }

    fn pointer(&self) -> (*mut u8, usize) {
        match &self.pages {
            Pages::Answer(view) => (view.as_ptr(), view.len()),
            Pages::Task(view) => (view.as_ptr(), view.len()),
        }
    }
}

#[pymethods]
impl View {
    fn __len__(&self) -> usize {
        self.pointer().1
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the form that the slot wants"
    )]
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        buffer: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let (pointer, len) = slf.get().pointer();
        let len = isize::try_from(len).map_err(|_| PyBufferError::new_err("a view is too long"))?;
        // SAFETY: Python gives a `Py_buffer` to fill. The pages stay mapped and writable while `slf`
        // lives, and the filled buffer holds a reference to it.
        let filled =
            unsafe { ffi::PyBuffer_FillInfo(buffer, slf.as_ptr(), pointer.cast(), len, 0, flags) };
        if filled == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }
}

/// An encoded answer of a worker.
#[pyclass(frozen, module = "loky._native")]
pub(crate) struct Payload {
    answer: Answer,
}

impl Payload {
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer }
    }
}

#[pymethods]
impl Payload {
    /// The pickle stream: bytes, or a view where it is large.
    fn stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.answer.stream {
            AnswerStream::Inline(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
            AnswerStream::InSegment(view) => {
                Ok(Bound::new(py, View::of_answer(view.clone()))?.into_any())
            }
        }
    }

    /// How many bytes arrived.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.answer.len()
    }

    /// The buffers beside the stream, in order.
    fn buffers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let views = self
            .answer
            .buffers
            .iter()
            .map(|view| Bound::new(py, View::of_answer(view.clone())));
        PyList::new(py, views.collect::<PyResult<Vec<_>>>()?)
    }
}
