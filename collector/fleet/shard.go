package fleet

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// Shard is one of several processes that share a fleet. The zero value reads the whole fleet.
type Shard struct{ Index, Total int }

// Has reports whether the instance belongs to this shard: the one that hashes highest with account, region and id. Each instance belongs
// to exactly one, and if a shard is added or removed, only its instances move.
func (s Shard) Has(i config.Instance) bool {
	mine := s.weight(s.Index, i)
	for n := range s.Total {
		if w := s.weight(n, i); w > mine || w == mine && n < s.Index {
			return false
		}
	}
	return true
}

func (Shard) weight(index int, i config.Instance) uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, part := range []string{i.Account, i.RegionID, i.InstanceID} {
		_, _ = d.WriteString(part)
		_, _ = d.Write([]byte{0xff}) // in no name
	}
	_, _ = d.Write(binary.LittleEndian.AppendUint64(nil, uint64(index))) //nolint:gosec // an index is not negative
	return d.Sum64()
}
