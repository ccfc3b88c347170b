#include "lib/ops/create.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "lib/ops/reference.h"

namespace platter {

namespace {

constexpr std::string_view kSubformat = "subformat";

template <class Specs>
std::string names_of(const Specs& specs) {
  std::vector<std::string_view> names;
  for (const auto& spec : specs) names.push_back(spec.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Error unknown_option(const Format& format, std::string_view key) {
  std::string known(format.creatable_variants().empty() ? "" : kSubformat);
  const std::string own = names_of(format.create_options());
  if (!known.empty() && !own.empty()) known += ", ";
  return Error(Errc::invalid, fmt::format("{} has no option \"{}\"; it has {}", format.name(), key,
                                          known.empty() && own.empty() ? "none" : known + own));
}

// Replaces subformat by the option that stands for it.
Result<void> choose_variant(const Format& format, Options& options) {
  const auto node = options.extract(options.find(kSubformat));
  const std::string& wanted = node.mapped();
  const auto variants = format.creatable_variants();
  const auto variant = std::ranges::find(variants, wanted, &CreatableVariant::name);
  if (variant == variants.end()) {
    return Error(Errc::invalid, fmt::format("subformat={}: {} can be made as {}", wanted,
                                            format.name(), names_of(variants)));
  }
  if (variant->option.empty()) return {};
  const auto [own, fresh] = options.try_emplace(std::string(variant->option), variant->value);
  if (fresh || own->second == variant->value) return {};
  return Error(Errc::invalid, fmt::format("subformat={} and {}={} exclude one another", wanted,
                                          variant->option, own->second));
}

}  // namespace

Result<Options> create_options(const Format& format, Options given) {
  if (!format.can_create()) {
    return Error(Errc::invalid, fmt::format("{}: images of this format can only be read, not made",
                                            format.name()));
  }
  const auto specs = format.create_options();
  for (const auto& [key, value] : given) {
    if (key == kSubformat && !format.creatable_variants().empty()) continue;
    if (std::ranges::find(specs, key, &OptionSpec::name) == specs.end()) {
      return unknown_option(format, key);
    }
  }
  if (given.contains(kSubformat)) TRY(choose_variant(format, given));
  return given;
}

namespace {

// The new file an option names; none: no such option is given.
struct DataPart {
  std::optional<NewFile> file;
  std::string reference;
};
Result<DataPart> begin_data_file(const CreateArgs& args, const Options& options) {
  for (const OptionSpec& spec : args.format.create_options()) {
    const auto given = options.find(spec.name);
    if (!spec.new_file || given == options.end()) continue;
    DataPart part;
    part.reference = TRY(reference_from(args.path, given->second));
    TRY_IN(given->second, check_reference(part.reference, args.references));
    part.file.emplace(TRY(NewFile::begin(given->second, args.mode)));
    return part;
  }
  return DataPart{};
}

}  // namespace

Result<NewImage> NewImage::begin(const CreateArgs& args) {
  const Options options = TRY(create_options(args.format, args.options));
  if (args.parent && !args.format.can_create_child()) {
    return Error(
        Errc::invalid,
        fmt::format("{}: images of this format cannot be made with a parent", args.format.name()));
  }
  if (args.compress && !args.format.can_compress()) {
    return Error(Errc::invalid, fmt::format("{}: images of this format cannot be made compressed",
                                            args.format.name()));
  }
  NewFile file = TRY(NewFile::begin(args.path, args.mode));
  DataPart data = TRY(begin_data_file(args, options));
  CreateRequest request{.file = file.file(),
                        .size = args.size,
                        .options = options,
                        .parent = args.parent,
                        .compress = args.compress,
                        .keys = args.keys};
  if (data.file) request.data_file = {data.reference, data.file->file()};
  ImageWriterPtr writer = TRY_IN(args.path, args.format.create(request));
  return NewImage(std::move(file), std::move(data.file), std::move(writer));
}

Result<void> NewImage::commit() {
  TRY_IN(file_.file()->name(), writer_->finish());
  // The image comes last: it is what names the other.
  if (data_) TRY(data_->publish());
  Result<void> published = file_.publish();
  if (!published && data_) data_->withdraw();
  return published;
}

Result<void> create_image(const CreateArgs& args) {
  NewImage image = TRY(NewImage::begin(args));
  return image.commit();
}

}  // namespace platter
