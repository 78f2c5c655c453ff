// The store in memory: for tests and simulation. Losing the process loses the content.
#ifndef RETORT_SERVER_STORE_MEMORY_STORE_H_
#define RETORT_SERVER_STORE_MEMORY_STORE_H_

#include <memory>

#include "server/store/store.h"

namespace retort::store {

std::unique_ptr<Store> NewMemoryStore();

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_MEMORY_STORE_H_
