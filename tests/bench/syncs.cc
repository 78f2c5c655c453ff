#include "tests/bench/syncs.h"

#include <google/protobuf/io/coded_stream.h>

#include "retort/v1/worker_service.pb.h"

namespace retort::bench {
namespace {

using google::protobuf::io::CodedInputStream;

// Tags of the wire: field number << 3 | type (0 varint, 2 length-delimited).
constexpr char Tag(int field, int type) { return static_cast<char>(field << 3 | type); }

void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void AppendBytes(std::string& out, int field, std::string_view bytes) {
  out.push_back(Tag(field, 2));
  AppendVarint(out, bytes.size());
  out += bytes;
}

std::string Outcome(const std::string& weights_sha256) {
  v1::FinishedAttempt finished;
  finished.set_device_s(0.001);
  v1::JobResult* result = finished.mutable_result();
  result->add_evaluations()->mutable_overall()->set_mae_bpm(4.25);
  result->mutable_weights()->set_sha256(weights_sha256);
  result->mutable_weights()->set_size_bytes(7);
  result->mutable_cost()->set_params(1234);
  result->set_epochs(3);
  return finished.SerializeAsString();
}

}  // namespace

SyncWriter::SyncWriter(const std::string& worker, int slots, const std::string& weights_sha256)
    : outcome_(Outcome(weights_sha256)) {
  v1::SyncRequest request;
  request.set_worker(worker);
  request.set_incarnation(1);
  request.set_host("host");
  request.set_version("bench");
  for (int i = 0; i < slots; ++i) {
    request.add_slots()->set_index(i);
    request.mutable_slots(i)->set_device("cpu");
  }
  head_ = request.SerializeAsString();
}

std::string SyncWriter::Write(int64_t number, int wanted, const std::vector<AttemptBytes>& finished,
                              const std::vector<AttemptBytes>& live) const {
  std::string out = head_;
  out.reserve(head_.size() + 32 + finished.size() * (outcome_.size() + 80) + live.size() * 80);
  out.push_back(Tag(v1::SyncRequest::kNumberFieldNumber, 0));
  AppendVarint(out, static_cast<uint64_t>(number));
  out.push_back(Tag(v1::SyncRequest::kWantedFieldNumber, 0));
  AppendVarint(out, static_cast<uint64_t>(wanted));
  std::string entry;
  for (const AttemptBytes& id : finished) {
    entry.clear();
    AppendBytes(entry, v1::FinishedAttempt::kIdFieldNumber, id);
    entry += outcome_;
    AppendBytes(out, v1::SyncRequest::kFinishedFieldNumber, entry);
  }
  for (const AttemptBytes& id : live) {
    entry.clear();
    AppendBytes(entry, v1::LiveAttempt::kIdFieldNumber, id);
    entry.push_back(Tag(v1::LiveAttempt::kRunningFieldNumber, 0));
    entry.push_back(1);
    AppendBytes(out, v1::SyncRequest::kLiveFieldNumber, entry);
  }
  return out;
}

bool ReadSyncAnswer(std::string_view bytes, SyncAnswer& answer) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t length = 0;
    uint64_t number = 0;
    if ((tag & 7) == 0) {
      if (!in.ReadVarint64(&number)) return false;
      continue;
    }
    if ((tag & 7) != 2 || !in.ReadVarint32(&length)) return false;
    const int field = static_cast<int>(tag >> 3);
    if (field == v1::SyncResponse::kAcknowledgedFieldNumber) ++answer.acknowledged;
    if (field == v1::SyncResponse::kStopFieldNumber) ++answer.stopped;
    if (field == v1::SyncResponse::kLeasesFieldNumber) {
      // A lease begins with its id: fields are written in order.
      const auto start = static_cast<size_t>(in.CurrentPosition());
      const std::string_view lease = bytes.substr(start, length);
      const auto size = lease.size() < 2 ? 0 : static_cast<size_t>(lease[1]);
      if (lease.size() < 2 + size || lease[0] != Tag(v1::Lease::kIdFieldNumber, 2)) return false;
      answer.leases.emplace_back(lease.substr(2, size));
    }
    if (!in.Skip(static_cast<int>(length))) return false;
  }
  return in.ConsumedEntireMessage();
}

}  // namespace retort::bench
