// Work in fixed slots: which slot does what, and the order in which slots are added up, depend on
// the data alone, so results are bitwise equal for every number of threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace multilogit {

// Calls work(worker, slot) once for every slot. std::thread rather than OpenMP: a forked child can
// go on using it, and it is there on every platform. What a slot throws is thrown again here, that
// of the first slot if several do; where no more threads are to be had, fewer do the work.
template <class Work>
void for_each_slot(std::size_t slots, std::size_t threads, const Work& work) {
  threads = threads < slots ? threads : slots;
  if (threads <= 1) {
    for (std::size_t slot = 0; slot < slots; ++slot) work(std::size_t{0}, slot);
    return;
  }
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> thrown(slots);
  const auto run = [&](std::size_t worker) noexcept {
    for (std::size_t slot = next++; slot < slots; slot = next++) {
      try {
        work(worker, slot);
      } catch (...) {
        thrown[slot] = std::current_exception();
        next = slots;  // what has not begun need not
      }
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(threads - 1);
  for (std::size_t worker = 1; worker < threads; ++worker) {
    try {
      pool.emplace_back(run, worker);
    } catch (const std::system_error&) {
      break;
    }
  }
  run(0);
  for (auto& thread : pool) thread.join();
  for (const auto& exception : thrown)
    if (exception) std::rethrow_exception(exception);
}

}  // namespace multilogit
