// Small things that the passes of the crossed model share.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "crossed.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace multilogit {

template <class R = vd>
R load(const double* from) {
  R out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

inline double* doubles(std::vector<vd>& lanes) { return reinterpret_cast<double*>(lanes.data()); }
inline const double* doubles(const std::vector<vd>& lanes) {
  return reinterpret_cast<const double*>(lanes.data());
}
inline const double* doubles(const vd* lanes) { return reinterpret_cast<const double*>(lanes); }

// work(worker, range, item) for every item of every range.
template <class Work>
void for_each_range(const Ranges& ranges, std::size_t threads, const Work& work) {
  for_each_slot(ranges.count(), threads, [&](std::size_t worker, std::size_t range) {
    for (std::size_t i = ranges.first[range]; i < ranges.first[range + 1]; ++i)
      work(worker, range, i);
  });
}

// Sums over rows by effects of the remainder: every range of groups adds to numbers of its own.
template <class T>
class LevelSums {
 public:
  LevelSums(std::size_t ranges, std::size_t size) : size_(size), data_(ranges * size) {}
  T* of(std::size_t range) { return data_.data() + range * size_; }
  // out += the sums of all ranges
  void add_to(T* out) const {
    for (std::size_t i = 0; i < data_.size(); i += size_)
      for (std::size_t j = 0; j < size_; ++j) out[j] += data_[i + j];
  }

 private:
  std::size_t size_;
  std::vector<T> data_;
};

}  // namespace multilogit
