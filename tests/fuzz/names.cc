#include "common/names.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/rpc/page_token.h"

// A name that was taken is the one that its part makes; a token is taken for its arguments alone.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto sweep = retort::ParseSweepName(text); sweep.ok()) {
    if (retort::SweepName(*sweep) != text || sweep->find('/') != std::string::npos) std::abort();
  }
  if (const auto worker = retort::ParseWorkerName(text); worker.ok()) {
    if (retort::WorkerName(*worker) != text || worker->find('/') != std::string::npos) std::abort();
  }
  if (const auto job = retort::ParseJobName(text); job.ok()) {
    if (retort::JobName(*job) != text) std::abort();
  }
  (void)retort::ParseJobPrefix(text);
  (void)retort::ParsePageToken(text, "a");
  // Keys are numbers or names, of 63 characters at most; longer tokens are refused by their length.
  if (text.size() > 63) return 0;
  const std::string token = retort::MakePageToken(text, "a");
  const auto key = retort::ParsePageToken(token, "a");
  if (!text.empty() && (!key.ok() || *key != text)) std::abort();
  if (!text.empty() && retort::ParsePageToken(token, "b").ok()) std::abort();
  return 0;
}
