// `retort admin token`: who may do what with a coordinator.
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "common/fields.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

struct CreateFlags {
  std::string role;
  std::string label;
  std::string expires;
  std::string out;
};

Json TimeText(int64_t time_ms) {
  if (time_ms == 0) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(time_ms), absl::UTCTimeZone());
}

std::string StateOf(const v1::Token& token, absl::Time now) {
  if (token.revoked_ms() > 0) return "revoked";
  const bool ended = token.expires_ms() > 0 && now >= absl::FromUnixMillis(token.expires_ms());
  return ended ? "expired" : "good";
}

Json TokenRow(const v1::Token& token) {
  return {{"id", token.id()},
          {"role", EnumWord(*v1::Role_descriptor(), token.role())},
          {"label", token.label()},
          {"state", StateOf(token, absl::Now())},
          {"created_time", TimeText(token.created_ms())},
          {"expires_time", TimeText(token.expires_ms())},
          {"revoked_time", TimeText(token.revoked_ms())}};
}

const std::vector<Column>& TokenColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"id", "id", 0, {}},
      {"role", "role", 0, {}},
      {"label", "label", 0, {}},
      {"state", "state", 0, {}},
      {"created_time", "created", 0, {}},
      {"expires_time", "expires", 0, {}},
  };
  return columns;
}

absl::Status Create(Context& context, const CreateFlags& flags) {
  v1::Role role = v1::ROLE_UNSPECIFIED;
  if (!v1::Role_Parse("ROLE_" + absl::AsciiStrToUpper(flags.role), &role) ||
      role == v1::ROLE_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        absl::StrCat("--role: '", flags.role, "'; expected viewer, operator, worker or admin"));
  }
  absl::Duration lifetime = absl::ZeroDuration();
  const bool in_days = !flags.expires.empty() && flags.expires.back() == 'd';
  int days = 0;
  const bool read = in_days
                        ? absl::SimpleAtoi(flags.expires.substr(0, flags.expires.size() - 1), &days)
                        : absl::ParseDuration(flags.expires, &lifetime);
  if (in_days) lifetime = absl::Hours(24) * days;
  if (!flags.expires.empty() && (!read || lifetime < absl::Seconds(1))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--expires: '", flags.expires, "'; expected how long it is good for, such as 12h or 30d"));
  }
  Client client = context.NewClient();
  RETORT_ASSIGN_OR_RETURN(const v1::CreateTokenResponse made,
                          client.CreateToken(role, flags.label, lifetime));
  if (flags.out.empty()) {
    context.terminal.out << made.access_file() << std::flush;
    return absl::OkStatus();
  }
  RETORT_RETURN_IF_ERROR(
      Annotate(WriteFileAtomically(flags.out, made.access_file(), 0600), "--out"));
  EmitObject(context, TokenRow(made.token()));
  return absl::OkStatus();
}

void AddCreate(CLI::App& group, Context& context) {
  CLI::App* create = group.add_subcommand("create", "make a token, in an access file of its own");
  const auto flags = std::make_shared<CreateFlags>();
  create
      ->add_option("--role", flags->role,
                   "viewer (reads), operator (also submits and cancels), worker, or admin")
      ->required();
  create->add_option("--label", flags->label, "what people call it");
  create->add_option("--expires", flags->expires,
                     "how long it is good for (12h, 30d); until it is revoked if left out");
  create->add_option("--out", flags->out,
                     "access file to write, mode 0600; on standard output if left out");
  create->callback([&context, flags] { context.Fail(Create(context, *flags)); });
}

}  // namespace

void AddTokenCommands(CLI::App& admin, Context& context) {
  CLI::App* group =
      admin.add_subcommand("token", "make, list and revoke the tokens of access files");
  group->require_subcommand(1);
  AddCreate(*group, context);
  group->add_subcommand("list", "tokens, without their secrets")->callback([&context] {
    const auto tokens = context.NewClient().ListTokens();
    if (!tokens.ok()) return context.Fail(tokens.status());
    std::vector<Json> rows;
    for (const v1::Token& token : *tokens) rows.push_back(TokenRow(token));
    EmitRows(context, rows, TokenColumns());
  });
  CLI::App* revoke = group->add_subcommand("revoke", "refuse a token from now on");
  const auto id = std::make_shared<std::string>();
  revoke->add_option("ID", *id, "of the token, as in `token list`")->required();
  revoke->callback([&context, id] {
    const auto token = context.NewClient().RevokeToken(*id);
    if (!token.ok()) return context.Fail(token.status());
    EmitObject(context, TokenRow(*token));
  });
}

}  // namespace retort
