package store

import (
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"
)

// CopyTo writes the whole file as it stands at its last checkpoint, and tells
// where that is. Checkpoints wait for it no longer than the writing takes.
func (s *Store) CopyTo(w io.Writer) (at Position, size int64, err error) {
	err = guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			v := tx.Bucket(nodeBucket).Get(keyPosition)
			if v != nil {
				var err error
				if at, err = parsePosition(v); err != nil {
					return err
				}
			}
			var err error
			size, err = tx.WriteTo(w)
			return err
		})
	})
	if err != nil {
		return at, size, fmt.Errorf("store: copy: %w", err)
	}
	return at, size, nil
}
