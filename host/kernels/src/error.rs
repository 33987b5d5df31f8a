//! What can go wrong.

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A tensor that the kernels can't take as it is.
    #[error("{name}: {problem}")]
    Tensor {
        /// Which one.
        name: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// An argument outside what the kernels can do, or a call at the wrong time.
    #[error("{0}")]
    Argument(String),
    /// CUDA refused.
    #[error("{doing}: CUDA says `{problem}`")]
    Cuda {
        /// What was being done.
        doing: String,
        /// CUDA's name of the error.
        problem: String,
    },
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl KernelError {
    /// Whether the device has no memory left; less may do.
    pub fn is_out_of_memory(&self) -> bool {
        // candle hands on the driver's words alone.
        let text = self.to_string();
        text.contains("OUT_OF_MEMORY") || text.contains("ALLOC_FAILED")
    }

    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::Argument(text.into())
    }

    pub(crate) fn tensor(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Tensor {
            name: name.into(),
            problem: problem.into(),
        }
    }
}

/// Shorthand of this crate.
pub(crate) type Result<T> = std::result::Result<T, KernelError>;
