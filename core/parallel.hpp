// Work in fixed slots: which slot does what, and the order in which slots are added up, depend on
// the data alone, so results are bitwise equal for every number of threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace multilogit {

// Calls work(worker, slot) once for every slot. std::thread rather than OpenMP: a forked child can
// go on using it, and it is there on every platform.
template <class Work>
void for_each_slot(std::size_t slots, std::size_t threads, const Work& work) {
  threads = threads < slots ? threads : slots;
  if (threads <= 1) {
    for (std::size_t slot = 0; slot < slots; ++slot) work(std::size_t{0}, slot);
    return;
  }
  std::atomic<std::size_t> next{0};
  const auto run = [&](std::size_t worker) {
    for (std::size_t slot = next++; slot < slots; slot = next++) work(worker, slot);
  };
  std::vector<std::thread> pool;
  pool.reserve(threads - 1);
  for (std::size_t worker = 1; worker < threads; ++worker) pool.emplace_back(run, worker);
  run(0);
  for (auto& thread : pool) thread.join();
}

}  // namespace multilogit
