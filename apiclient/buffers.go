package apiclient

import "bytes"

// BufferPool is memory for answers, to be reused. The subtasks of backups that were read into it are valid until Reset.
type BufferPool struct {
	all  []*bytes.Buffer
	used int
}

// Reset frees the memory for other answers.
func (p *BufferPool) Reset() { p.used = 0 }

// Answers returns how many answers were read into the pool since Reset.
func (p *BufferPool) Answers() int { return p.used }

func (p *BufferPool) next() *bytes.Buffer {
	if p == nil {
		return new(bytes.Buffer)
	}
	if p.used == len(p.all) {
		p.all = append(p.all, new(bytes.Buffer))
	}
	p.used++
	next := p.all[p.used-1]
	next.Reset()
	return next
}
