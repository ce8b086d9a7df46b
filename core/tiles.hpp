// A fixed number of vectors, not initialised: large ones are written exactly once. They are in
// memory, or in a file without a name: then the system may take their pages back (`release`).
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "scratch.hpp"
#include "simd.hpp"

namespace multilogit {

class Tiles {
 public:
  // scratch: directory of the file; empty: in memory. Throws std::runtime_error when there is no
  // room for the file.
  explicit Tiles(std::size_t size, const std::string& scratch = "")
      : size_(size),
        data_(scratch.empty() || size == 0
                  ? Block(allocate(size), Free{})
                  : Block(static_cast<vd*>(map_scratch(scratch, bytes())), Free{bytes()})) {}
  vd* data() { return data_.get(); }
  const vd* data() const { return data_.get(); }
  bool empty() const { return size_ == 0; }
  const vd& operator[](std::size_t t) const { return data_[t]; }
  std::size_t bytes() const { return size_ * sizeof(vd); }

  // Nothing of a file in memory; it is read again where it is needed.
  void release() const {
    if (data_.get_deleter().mapped > 0) release_scratch(data_.get(), bytes());
  }
  // Start to read a file that is needed soon.
  void prefetch() const {
    if (data_.get_deleter().mapped > 0) prefetch_scratch(data_.get(), bytes());
  }

 private:
  struct Free {
    std::size_t mapped = 0;
    void operator()(vd* p) const {
      if (mapped > 0)
        unmap_scratch(p, mapped);
      else
        std::free(p);
    }
  };

  using Block = std::unique_ptr<vd[], Free>;

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
  Block data_;
};

}  // namespace multilogit
