// Memory whose vectors never cross a cache line.
#ifndef FASTLSTM_MEMORY_H
#define FASTLSTM_MEMORY_H

#include <stdint.h>

#include <memory>
#include <new>

namespace fastlstm {

struct Free {
    void operator()(float *memory) const { ::operator delete(memory, std::align_val_t(64)); }
};
using Floats = std::unique_ptr<float, Free>;

inline Floats floats(int64_t count) {
    return Floats((float *)::operator new(count * sizeof(float), std::align_val_t(64)));
}

// Memory that grows and is used again.
class Memory {
  public:
    // At least `count` floats, whatever they hold.
    float *at_least(int64_t count) {
        if (count > size_) {
            memory_ = floats(count);
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
