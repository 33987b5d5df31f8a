//! CUDA operations of the DeepSeek-OCR family.
