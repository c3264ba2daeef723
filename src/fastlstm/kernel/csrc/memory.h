// Arrays of floats aligned to a cache line, so that no vector crosses one.
#ifndef FASTLSTM_MEMORY_H
#define FASTLSTM_MEMORY_H

#include <stdint.h>

#include <memory>
#include <new>

namespace fastlstm {

struct FreeFloats {
    void operator()(float *memory) const { ::operator delete(memory, std::align_val_t(64)); }
};
using Floats = std::unique_ptr<float, FreeFloats>;

// `count` floats, not initialized.
inline Floats allocate_floats(int64_t count) {
    return Floats((float *)::operator new(count * sizeof(float), std::align_val_t(64)));
}

// An array that is reused and grows when necessary.
class Buffer {
  public:
    // At least `count` floats; when it grows, its content is lost.
    float *reserve(int64_t count) {
        if (count > size_) {
            memory_ = allocate_floats(count);
            size_ = count;
        }
        return memory_.get();
    }
    float *get() const { return memory_.get(); }

  private:
    Floats memory_;
    int64_t size_ = 0;
};

}  // namespace fastlstm

#endif
