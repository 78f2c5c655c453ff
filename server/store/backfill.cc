#include "server/store/backfill.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "retort/v1/result.pb.h"
#include "retort/v1/spec.pb.h"

namespace retort::store {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string BytesOf(sqlite3_value* value) {
  const void* data = sqlite3_value_blob(value);  // before its size is asked
  const auto size = static_cast<size_t>(sqlite3_value_bytes(value));
  return data == nullptr ? "" : std::string(static_cast<const char*>(data), size);
}

void Give(sqlite3_context* context, const Message& message, const FieldDescriptor& field) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return sqlite3_result_int64(context, reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return sqlite3_result_int64(context, reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return sqlite3_result_int64(context, reflection.GetBool(message, &field) ? 1 : 0);
    case FieldDescriptor::CPPTYPE_ENUM:
      return sqlite3_result_int64(context, reflection.GetEnumValue(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return sqlite3_result_double(context, reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = reflection.GetString(message, &field);
      return sqlite3_result_text(context, text.data(), static_cast<int>(text.size()),
                                 SQLITE_TRANSIENT);
    }
    default:
      return sqlite3_result_null(context);
  }
}

void MessageValue(sqlite3_context* context, int, sqlite3_value** arguments) {
  sqlite3_result_null(context);
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const auto* type = pool->FindMessageTypeByName(absl::StrCat("retort.v1.", BytesOf(arguments[0])));
  if (type == nullptr) return;
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  const std::unique_ptr<Message> whole(factory->GetPrototype(type)->New());
  if (!whole->ParseFromString(BytesOf(arguments[1]))) return;
  const Message* at = whole.get();
  const std::vector<std::string> path = absl::StrSplit(BytesOf(arguments[2]), '.');
  for (size_t i = 0; i < path.size(); ++i) {
    const FieldDescriptor* field = at->GetDescriptor()->FindFieldByName(path[i]);
    if (field == nullptr) return;
    const google::protobuf::Reflection& reflection = *at->GetReflection();
    const bool last = i + 1 == path.size();
    if (last != (field->message_type() == nullptr)) return;
    if (field->is_repeated()) {
      if (last || reflection.FieldSize(*at, field) == 0) return;
      at = &reflection.GetRepeatedMessage(*at, field, 0);
    } else if (!reflection.HasField(*at, field)) {
      return;
    } else if (last) {
      return Give(context, *at, *field);
    } else {
      at = &reflection.GetMessage(*at, field);
    }
  }
}

}  // namespace

absl::Status AddMessageValue(const Connection& db) {
  // Descriptors of files that nothing refers to may not be linked.
  v1::JobResult::descriptor();
  v1::TrainingSpec::descriptor();
  const int code = sqlite3_create_function_v2(
      db.get(), "message_value", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, nullptr,
      MessageValue, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : SqliteStatus(db.get(), code, "message_value");
}

}  // namespace retort::store
