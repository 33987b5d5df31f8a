//! Loading the kernels and launching them: the only place that calls the driver with raw parameters.
//!
//! Every launch may carry two attributes (cudarc's own launches carry none): programmatic stream serialization, which
//! lets a kernel start before the previous one has ended, and cluster dimensions. Images are loaded once for a CUDA
//! context and stay loaded, so a function handle never dangles.

use crate::error::{KernelError, Result};
use crate::kernels::{FUNCTIONS, IMAGES};
use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, PoisonError};

/// An address in the device's memory, as a kernel receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Address(pub(crate) u64);

impl Address {
    pub(crate) const NULL: Self = Self(0);

    /// The address of the element `index` of an array of `T`.
    pub(crate) fn at<T>(self, index: usize) -> Self {
        Self(self.0 + (index * size_of::<T>()) as u64)
    }
}

/// `CacheLayout` of `cuda/common.cuh`: strides in elements.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct CacheLayout {
    pub(crate) page_stride: i64,
    pub(crate) token_stride: i32,
    pub(crate) head_stride: i32,
    pub(crate) page_shift: i32,
    pub(crate) table_pitch: i32,
}

/// `Rotary` of `cuda/qkv_rope.cu`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Rotary {
    pub(crate) cos_sin: Address,
    pub(crate) sequence_lengths: Address,
    pub(crate) block_table: Address,
    pub(crate) q: Address,
    pub(crate) k_cache: Address,
    pub(crate) v_cache: Address,
    pub(crate) cache: CacheLayout,
}

/// `Bans` of `cuda/lm_head.cu`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Bans {
    pub(crate) counts: Address,
    pub(crate) ids: Address,
}

/// `VisionLayout` of `cuda/vision_attention.cu`: strides in elements.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct VisionLayout {
    pub(crate) batch_stride: i64,
    pub(crate) token_stride: i32,
    pub(crate) matrix_stride: i32,
    pub(crate) head_stride: i32,
    pub(crate) tokens: i32,
    pub(crate) heads: i32,
    pub(crate) side: i32,
}

/// `NormLayout` of `cuda/vision_rows.cu`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct NormLayout {
    pub(crate) rows: i32,
    pub(crate) x_rows: i32,
    pub(crate) columns: i32,
    pub(crate) side: i32,
    pub(crate) product_window: i32,
    pub(crate) out_window: i32,
    pub(crate) epsilon: f32,
}

/// `PromptRows` of `cuda/qkv_rope.cu`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct PromptRows {
    pub(crate) cos_sin: Address,
    pub(crate) sequence_lengths: Address,
    pub(crate) slots: Address,
    pub(crate) q: Address,
    pub(crate) k_cache: Address,
    pub(crate) v_cache: Address,
}

/// Integers in one `write_words`.
pub(crate) const WORDS: usize = 1000;

/// `Words` of `cuda/rows.cu`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Words(pub(crate) [i32; WORDS]);

const _: () = {
    assert!(size_of::<CacheLayout>() == 24 && size_of::<Rotary>() == 72 && size_of::<Bans>() == 16);
    assert!(size_of::<Words>() == 4000 && size_of::<VisionLayout>() == 32);
    assert!(size_of::<NormLayout>() == 28 && size_of::<PromptRows>() == 48);
};

/// A parameter of a kernel, laid out as its counterpart in CUDA C++.
#[derive(Clone, Copy)]
pub(crate) enum Argument<'a> {
    Address(Address),
    Integer(i32),
    Float(f32),
    Cache(CacheLayout),
    Rotary(Rotary),
    Bans(Bans),
    Vision(VisionLayout),
    Norm(NormLayout),
    Prompt(PromptRows),
    Words(&'a Words),
}

impl Argument<'_> {
    /// Where its value lies.
    fn place(&self) -> *mut c_void {
        fn erased<T>(value: &T) -> *mut c_void {
            std::ptr::from_ref(value).cast_mut().cast()
        }
        match self {
            Self::Address(value) => erased(value),
            Self::Integer(value) => erased(value),
            Self::Float(value) => erased(value),
            Self::Cache(value) => erased(value),
            Self::Rotary(value) => erased(value),
            Self::Bans(value) => erased(value),
            Self::Vision(value) => erased(value),
            Self::Norm(value) => erased(value),
            Self::Prompt(value) => erased(value),
            Self::Words(value) => erased::<Words>(value),
        }
    }
}

macro_rules! argument_from {
    ($($variant:ident: $value:ty),*) => {
        $(impl<'a> From<$value> for Argument<'a> {
            fn from(value: $value) -> Self {
                Self::$variant(value)
            }
        })*
    };
}
argument_from!(
    Address: Address,
    Integer: i32,
    Float: f32,
    Cache: CacheLayout,
    Rotary: Rotary,
    Bans: Bans,
    Vision: VisionLayout,
    Norm: NormLayout,
    Prompt: PromptRows,
    Words: &'a Words
);

/// The arguments of a kernel, in its order.
macro_rules! arguments {
    ($($value:expr),* $(,)?) => { &[$($crate::ffi::Argument::from($value)),*] };
}
pub(crate) use arguments;

/// The most parameters that any of the kernels has.
const MOST_PARAMETERS: usize = 20;

/// How a kernel is launched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    grid: [u32; 3],
    threads: u32,
    shared_bytes: u32,
    cluster: u32,
    overlaps: bool,
}

impl Shape {
    pub(crate) fn new(grid: [u32; 3], threads: u32) -> Self {
        Self {
            grid,
            threads,
            shared_bytes: 0,
            cluster: 1,
            overlaps: true,
        }
    }

    /// With that much dynamic shared memory.
    pub(crate) fn shared(self, shared_bytes: u32) -> Self {
        Self { shared_bytes, ..self }
    }

    /// With that many neighbours along y in a cluster.
    pub(crate) fn cluster(self, cluster: u32) -> Self {
        Self { cluster, ..self }
    }

    /// Starts when everything before it has ended, not earlier.
    pub(crate) fn waiting(self) -> Self {
        Self {
            overlaps: false,
            ..self
        }
    }
}

/// The kernels on one candle device, launched on its stream.
#[derive(Clone)]
pub(crate) struct Gpu {
    stream: Arc<CudaStream>,
    loaded: Arc<Loaded>,
}

impl Gpu {
    /// Loads the kernels unless they are. Refuses a device whose stream can't be captured or changes with the thread.
    pub(crate) fn new(device: &Device) -> Result<Self> {
        let stream = device.as_cuda_device()?.cuda_stream();
        // The null stream can't be captured; 2 is CU_STREAM_PER_THREAD, another stream on every thread.
        if matches!(stream.cu_stream() as usize, 0..=2) {
            let text = "the device shares the default stream; open it with `ocr_kernels::open`";
            return Err(KernelError::argument(text));
        }
        let loaded = loaded(stream.context())?;
        Ok(Self { stream, loaded })
    }

    pub(crate) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Multiprocessors of the device.
    pub(crate) fn processors(&self) -> u32 {
        self.loaded.processors
    }

    /// The most shared memory of a block, bytes.
    pub(crate) fn most_shared(&self) -> u32 {
        self.loaded.most_shared
    }

    /// Puts a kernel on the stream.
    ///
    /// # Safety
    /// The arguments are the kernel's parameters in type and order, and what they point at has the sizes that the
    /// kernel's file states for this shape and lives until the stream is through.
    pub(crate) unsafe fn launch(
        &self,
        name: &'static str,
        shape: Shape,
        arguments: &[Argument<'_>],
    ) -> Result<()> {
        let function = self.loaded.functions.get(name).ok_or_else(|| {
            KernelError::argument(format!(
                "kernel `{name}` wants more shared memory than this GPU has"
            ))
        })?;
        let mut parameters = [std::ptr::null_mut(); MOST_PARAMETERS];
        assert!(
            arguments.len() <= MOST_PARAMETERS,
            "{} parameters",
            arguments.len()
        );
        for (place, argument) in parameters.iter_mut().zip(arguments) {
            *place = argument.place();
        }
        let mut attributes = [attribute(sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_IGNORE); 2];
        let mut count = 0;
        // Both attributes came with sm_90; the kernels do without them below.
        if self.loaded.capability >= (9, 0) {
            use sys::CUlaunchAttributeID as Id;
            if shape.overlaps {
                attributes[count] = attribute(Id::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
                attributes[count].value.programmaticStreamSerializationAllowed = 1;
                count += 1;
            }
            if shape.cluster > 1 {
                attributes[count] = attribute(Id::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
                attributes[count].value.clusterDim = sys::CUlaunchAttributeValue_union__bindgen_ty_1 {
                    x: 1,
                    y: shape.cluster,
                    z: 1,
                };
                count += 1;
            }
        }
        let config = sys::CUlaunchConfig {
            gridDimX: shape.grid[0],
            gridDimY: shape.grid[1],
            gridDimZ: shape.grid[2],
            blockDimX: shape.threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: shape.shared_bytes,
            hStream: self.stream.cu_stream(),
            attrs: attributes.as_mut_ptr(),
            numAttrs: count as u32,
        };
        let doing = || format!("launching `{name}` with {shape:?}");
        self.stream
            .context()
            .bind_to_thread()
            .map_err(|error| cuda(doing(), error))?;
        // SAFETY: `config`, its attributes and the parameters live through the call, which copies them; the function
        // belongs to a module that is never unloaded; the rest is the caller's promise.
        unsafe { sys::cuLaunchKernelEx(&config, function.0, parameters.as_mut_ptr(), std::ptr::null_mut()) }
            .result()
            .map_err(|error| cuda(doing(), error))
    }
}

fn attribute(id: sys::CUlaunchAttributeID) -> sys::CUlaunchAttribute {
    sys::CUlaunchAttribute {
        id,
        pad: [0; 4],
        value: sys::CUlaunchAttributeValue { pad: [0; 64] },
    }
}

/// An error of the driver, with what was being done.
pub(crate) fn cuda(doing: impl Into<String>, error: DriverError) -> KernelError {
    let problem = match (error.error_name(), error.error_string()) {
        (Ok(name), Ok(text)) => format!("{}: {}", name.to_string_lossy(), text.to_string_lossy()),
        _ => format!("{error:?}"),
    };
    KernelError::Cuda {
        doing: doing.into(),
        problem,
    }
}

struct Function(sys::CUfunction);
// SAFETY: a handle of the driver, which any thread may use while its context is bound; launches bind it.
unsafe impl Send for Function {}
// SAFETY: as above; the handle itself is never written.
unsafe impl Sync for Function {}

/// All kernels in one CUDA context. Those that want more shared memory than the GPU has are left out.
struct Loaded {
    /// Keeps the context alive.
    context: Arc<CudaContext>,
    functions: HashMap<&'static str, Function>,
    capability: (i32, i32),
    processors: u32,
    most_shared: u32,
}

/// The kernels of this context, loaded at its first use.
fn loaded(context: &Arc<CudaContext>) -> Result<Arc<Loaded>> {
    static CONTEXTS: Mutex<Vec<Arc<Loaded>>> = Mutex::new(Vec::new());
    let mut contexts = CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = contexts
        .iter()
        .find(|loaded| loaded.context.cu_ctx() == context.cu_ctx())
    {
        return Ok(loaded.clone());
    }
    let loaded = Arc::new(load(context)?);
    contexts.push(loaded.clone());
    Ok(loaded)
}

fn load(context: &Arc<CudaContext>) -> Result<Loaded> {
    use sys::CUdevice_attribute as Attribute;
    let read = |error| cuda("reading the device's properties", error);
    let capability = context.compute_capability().map_err(read)?;
    let attribute = |name| context.attribute(name).map_err(read);
    let processors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32;
    let most_shared = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)? as u32;
    context.bind_to_thread().map_err(read)?;
    let mut functions = HashMap::new();
    for (image_name, image) in IMAGES {
        let doing = || {
            let (major, minor) = capability;
            let built_for = env!("OCR_KERNELS_ARCHS");
            format!(
                "loading the kernels of `{image_name}`, built for {built_for}, on a GPU of {major}{minor} \
                 (OCR_HOST_CUDA_ARCHS at build time decides)"
            )
        };
        // SAFETY: the image is a whole fatbin as nvcc wrote it, aligned and static.
        let module = unsafe { result::module::load_data(image.0.as_ptr().cast()) }
            .map_err(|error| cuda(doing(), error))?;
        for function in FUNCTIONS.iter().filter(|function| function.image == *image_name) {
            if function.shared_bytes <= most_shared {
                functions.insert(function.name, find(module, function.name, function.shared_bytes)?);
            }
        }
    }
    let context = context.clone();
    Ok(Loaded {
        context,
        functions,
        capability,
        processors,
        most_shared,
    })
}

fn find(module: sys::CUmodule, name: &'static str, shared_bytes: u32) -> Result<Function> {
    use sys::CUfunction_attribute as Attribute;
    let doing = |error| cuda(format!("looking for the kernel `{name}`"), error);
    let symbol = CString::new(name).expect("a kernel's name has no zero byte");
    // SAFETY: the module was loaded just now and is never unloaded.
    let function = unsafe { result::module::get_function(module, symbol) }.map_err(doing)?;
    if shared_bytes > 0 {
        let attributes = [
            (
                Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                shared_bytes as i32,
            ),
            (Attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100),
        ];
        for (attribute, value) in attributes {
            // SAFETY: the function was found just now.
            unsafe { result::function::set_function_attribute(function, attribute, value) }.map_err(doing)?;
        }
    }
    Ok(Function(function))
}
