// A fixed number of vectors, not initialised: large ones are written exactly once.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "simd.hpp"

namespace multilogit {

class Tiles {
 public:
  explicit Tiles(std::size_t size) : size_(size), data_(allocate(size)) {}
  vd* data() { return data_.get(); }
  const vd* data() const { return data_.get(); }
  bool empty() const { return size_ == 0; }
  const vd& operator[](std::size_t t) const { return data_[t]; }

 private:
  struct Free {
    void operator()(vd* p) const { std::free(p); }
  };

  // Large blocks ask for huge pages: first touching 4 kB at a time costs more than filling them.
  static vd* allocate(std::size_t size) {
    constexpr std::size_t kHuge = std::size_t{1} << 21;
    const std::size_t bytes = size * sizeof(vd);
    const std::size_t alignment = bytes >= kHuge ? kHuge : sizeof(vd);
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* block = std::aligned_alloc(alignment, rounded > 0 ? rounded : alignment);
    if (block == nullptr) throw std::bad_alloc();
#ifdef __linux__
    if (alignment == kHuge) madvise(block, rounded, MADV_HUGEPAGE);
#endif
    return static_cast<vd*>(block);
  }

  std::size_t size_;
  std::unique_ptr<vd[], Free> data_;
};

}  // namespace multilogit
