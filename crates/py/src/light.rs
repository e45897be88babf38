//! The pickle of a light call: a function that is found by its name, with a few small values.
//!
//! Most tasks are one, and pickling it is most of what submitting it costs. Says of every call that
//! is any heavier that it is none; `_pickling` decides about those. Nothing here goes into the memo of
//! the pickle.

use std::sync::Mutex;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyBytes, PyCFunction, PyDict, PyFloat, PyFunction, PyInt, PyModule, PyNone, PyString,
    PyTuple, PyType,
};

/// The longest text, in characters, and byte string that are light.
const TEXT_MAX: usize = 64;

const ARGUMENTS_MAX: usize = 16;

const PROTOCOL: &[u8] = b"\x80\x05";
const STACK_GLOBAL: u8 = b'\x93';
const NO_KEYWORDS_AND_STOP: &[u8] = b"}\x87.";

static SYS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// How the calls of one function begin. Kept by the names, so that the function is not kept.
struct Named {
    module: Py<PyString>,
    name: Py<PyString>,
    encoded: Vec<u8>,
}

/// Encodes light calls, and knows how the last one began.
#[derive(Default)]
pub(crate) struct LightCalls {
    last: Mutex<Option<Named>>,
}

impl LightCalls {
    /// The pickle of `(function, args, {})`; `None` where the call is not a light one.
    ///
    /// # Errors
    /// `KeyboardInterrupt`. Whatever else the look for the function raises, it is no light one.
    pub(crate) fn encode(
        &self,
        function: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<Option<Vec<u8>>> {
        if args.len() > ARGUMENTS_MAX || !is_named_kind(function) {
            return Ok(None);
        }
        match self.encode_named(function, args) {
            Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(function.py()) => Err(error),
            Err(_) => Ok(None),
            Ok(encoded) => Ok(encoded),
        }
    }

    fn encode_named(
        &self,
        function: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<Option<Vec<u8>>> {
        let py = function.py();
        let module = function.getattr(intern!(py, "__module__"))?;
        let name = function.getattr(intern!(py, "__qualname__"))?;
        let (Ok(module), Ok(name)) = (
            module.cast_exact::<PyString>(),
            name.cast_exact::<PyString>(),
        ) else {
            return Ok(None);
        };
        let modules = SYS
            .get_or_try_init(py, || PyModule::import(py, "sys").map(Bound::unbind))?
            .bind(py)
            .getattr(intern!(py, "modules"))?;
        let Ok(modules) = modules.cast_exact::<PyDict>() else {
            return Ok(None);
        };
        let Some(found) = modules.get_item(module)? else {
            return Ok(None);
        };
        if !found.getattr(name)?.is(function) || sends_by_value(modules)? {
            return Ok(None);
        }
        let Some(mut stream) = self.beginning(module, name)? else {
            return Ok(None);
        };
        Ok(push_arguments(&mut stream, args)?.then_some(stream))
    }

    /// The function by its name; `None` where it would not be found by it.
    fn beginning(
        &self,
        module: &Bound<'_, PyString>,
        name: &Bound<'_, PyString>,
    ) -> PyResult<Option<Vec<u8>>> {
        let room = 2 * TEXT_MAX;
        if let Ok(last) = self.last.try_lock()
            && let Some(known) = last.as_ref()
            && known.module.is(module)
            && known.name.is(name)
        {
            let mut stream = Vec::with_capacity(known.encoded.len() + room);
            stream.extend_from_slice(&known.encoded);
            return Ok(Some(stream));
        }
        let (module_text, name_text) = (module.to_str()?, name.to_str()?);
        // What is in the main script is another thing there, and a dotted name may be a local one.
        if matches!(module_text, "__main__" | "__mp_main__") || name_text.contains('.') {
            return Ok(None);
        }
        let mut stream = Vec::with_capacity(room);
        stream.extend_from_slice(PROTOCOL);
        if !(push_text(&mut stream, module_text) && push_text(&mut stream, name_text)) {
            return Ok(None);
        }
        stream.push(STACK_GLOBAL);
        let named = Named {
            module: module.clone().unbind(),
            name: name.clone().unbind(),
            encoded: stream.clone(),
        };
        let before = self
            .last
            .try_lock()
            .ok()
            .and_then(|mut last| last.replace(named));
        drop(before); // Without the lock.
        Ok(Some(stream))
    }
}

/// Functions of Python and of C, and classes without a metaclass.
fn is_named_kind(function: &Bound<'_, PyAny>) -> bool {
    function.cast_exact::<PyFunction>().is_ok()
        || function.cast_exact::<PyCFunction>().is_ok()
        || function.is_exact_instance_of::<PyType>()
}

/// Whether the user has told cloudpickle to send modules by value.
fn sends_by_value(modules: &Bound<'_, PyDict>) -> PyResult<bool> {
    let py = modules.py();
    match modules.get_item(intern!(py, "cloudpickle"))? {
        None => Ok(false),
        Some(cloudpickle) => cloudpickle
            .call_method0(intern!(py, "list_registry_pickle_by_value"))?
            .is_truthy(),
    }
}

/// The arguments as a tuple, and the end; false where one of them is not light.
fn push_arguments(stream: &mut Vec<u8>, args: &Bound<'_, PyTuple>) -> PyResult<bool> {
    if args.len() > 3 {
        stream.push(b'(');
    }
    for (place, value) in args.iter().enumerate() {
        if !push_value(stream, &value)? {
            return Ok(false);
        }
        // A pickler writes an object once, so that it is one object afterwards, too.
        let kept =
            value.is_exact_instance_of::<PyString>() || value.is_exact_instance_of::<PyBytes>();
        if kept && args.iter().take(place).any(|before| before.is(&value)) {
            return Ok(false);
        }
    }
    stream.push(match args.len() {
        0 => b')',
        1 => b'\x85',
        2 => b'\x86',
        3 => b'\x87',
        _ => b't',
    });
    stream.extend_from_slice(NO_KEYWORDS_AND_STOP);
    Ok(true)
}

fn push_value(stream: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(number) = value.cast_exact::<PyInt>() {
        let Ok(number) = number.extract::<i64>() else {
            return Ok(false);
        };
        push_number(stream, number);
    } else if let Ok(text) = value.cast_exact::<PyString>() {
        return Ok(text.len()? <= TEXT_MAX && push_text(stream, text.to_str()?));
    } else if let Ok(number) = value.cast_exact::<PyFloat>() {
        stream.push(b'G');
        stream.extend_from_slice(&number.value().to_be_bytes());
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        stream.push(if truth.is_true() { b'\x88' } else { b'\x89' });
    } else if value.cast_exact::<PyNone>().is_ok() {
        stream.push(b'N');
    } else if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        let bytes = bytes.as_bytes();
        if bytes.len() > TEXT_MAX {
            return Ok(false);
        }
        stream.push(b'C');
        return Ok(push_short(stream, bytes));
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn push_number(stream: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u8::try_from(number) {
        stream.extend_from_slice(&[b'K', number]);
    } else if let Ok(number) = u16::try_from(number) {
        stream.push(b'M');
        stream.extend_from_slice(&number.to_le_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        stream.push(b'J');
        stream.extend_from_slice(&number.to_le_bytes());
    } else {
        stream.extend_from_slice(b"\x8a\x08");
        stream.extend_from_slice(&number.to_le_bytes());
    }
}

fn push_text(stream: &mut Vec<u8>, text: &str) -> bool {
    stream.push(b'\x8c');
    push_short(stream, text.as_bytes())
}

/// Bytes under their length; false where that does not go into a byte.
fn push_short(stream: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Ok(len) = u8::try_from(bytes.len()) else {
        return false;
    };
    stream.push(len);
    stream.extend_from_slice(bytes);
    true
}
