#include "formats/vhd/mend.h"

#include "formats/vhd/footer.h"

namespace platter::vhd {

Result<uint64_t> mend_footers(File& file, const Parsed& parsed) {
  const Footer footer = sealed(parsed.footer);
  uint64_t tail = parsed.data_end;
  if (!parsed.trailing || tail % kSector != 0) {
    // Whatever stands at the end stays there, in nobody's way.
    tail = align_up(parsed.file_size, kSector);
    TRY(move_footer_back(file, footer, tail));
  }
  if (!parsed.copy_fits) TRY(file.write(0, as_bytes_of(footer)));
  return tail;
}

Result<void> replace_footer(File& file, const Footer& footer, uint64_t tail) {
  const Footer done = sealed(footer);
  TRY(file.write(tail, as_bytes_of(done)));
  TRY(file.write(0, as_bytes_of(done)));
  return file.sync();
}

// Some files grow by a resize alone (disks in a mount of ours). Only there power may be lost with
// no footer at the end, and its copy is used.
Result<void> move_footer_back(File& file, const Footer& footer, uint64_t tail) {
  const Footer moved = sealed(footer);
  const uint64_t size = TRY(file.stat()).size;
  Result<void> done = file.write(tail, as_bytes_of(moved));
  if (!done && size < tail + sizeof(Footer) && file.resize(tail + sizeof(Footer))) {
    done = file.write(tail, as_bytes_of(moved));
  }
  if (done) return file.sync();
  // A part of a footer is none: the file ends where it did.
  (void)file.resize(size);
  return done;
}

Result<void> cut_behind(File& file, const Footer& footer, uint64_t tail) {
  TRY(move_footer_back(file, footer, tail));
  return file.resize(tail + sizeof(Footer));
}

}  // namespace platter::vhd
