package apiclient

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
)

// page is one answer: the envelope, or the gateway's error, which has Code and Message instead.
type page struct {
	success   *bool // nil: no envelope
	code      string
	message   string
	requestID string
	action    string // AccessDeniedDetail.AuthAction
	total     int
	backups   []Backup
	instances []Instance
}

// codeIsSuccess reports whether ErrCode does not contradict Success.
func (p *page) codeIsSuccess() bool { return p.code == "" || strings.EqualFold(p.code, "Success") }

// decodePage decodes a whole body. It is an error where the body is not exactly one JSON object, or a part that counts
// has another shape; oddities elsewhere are passed over. The Data of a failure does not count.
func decodePage(body []byte, data func(*page, *decoder) error) (*page, error) {
	p, err := decodeEnvelope(body, data)
	if err == nil {
		return p, nil
	}
	p, withoutData := decodeEnvelope(body, func(_ *page, d *decoder) error { return d.SkipValue() })
	if withoutData == nil && (p.success != nil && !*p.success || p.success == nil && !p.codeIsSuccess()) {
		return p, nil
	}
	return nil, err
}

func decodeEnvelope(body []byte, data func(*page, *decoder) error) (*page, error) {
	p := &page{}
	d := newDecoder(body)
	err := eachMember(d, func(name string) (err error) {
		switch name {
		case "Success":
			p.success, err = boolean(d)
		case "ErrCode", "Code":
			err = set(d, &p.code)
		case "ErrMessage", "Message":
			err = set(d, &p.message)
		case "RequestId":
			err = set(d, &p.requestID)
		case "AccessDeniedDetail":
			err = p.decodeDenial(d)
		case "Total":
			var n float64
			n, err = number(d)
			if n > 0 { // not where it is NaN
				p.total = int(min(n, math.MaxInt32))
			}
		case "Data":
			err = data(p, d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return p, nil
}

func (p *page) decodeDenial(d *decoder) error {
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	return eachMember(d, func(name string) error {
		if name == "AuthAction" {
			return set(d, &p.action)
		}
		return d.SkipValue()
	})
}

func (p *page) decodeBackups(d *decoder) error {
	p.backups = nil
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	var snapshots snapshots
	return eachElement(d, func() error {
		b, err := decodeBackup(d, &snapshots)
		p.backups = append(p.backups, b)
		return err
	})
}

func decodeBackup(d *decoder, s *snapshots) (Backup, error) {
	b := Backup{DiskBytes: math.NaN()}
	err := eachMember(d, func(name string) (err error) {
		var n float64
		switch name {
		case "BackupTaskId":
			err = set(d, &b.TaskID)
		case "InstanceId":
			err = set(d, &b.InstanceID)
		case "RegionId":
			err = set(d, &b.RegionID)
		case "Status":
			err = set(d, &b.StatusWord)
		case "BackupStartTime":
			n, err = number(d)
			b.Start = epoch(n)
		case "BackupFinishedTime":
			n, err = number(d)
			b.Finish = epoch(n)
		case "ExpireTime":
			n, err = number(d)
			b.Expire = epoch(n)
		case "Size":
			n, err = number(d)
			b.DiskBytes = bytesOfGiB(n)
		case "InstanceSnapshot":
			b.Instance, err = s.decode(d)
		case "SubTasks":
			b.subTasks, err = rawArray(d)
		default:
			err = d.SkipValue()
		}
		return err
	})
	b.Status = parseStatus(b.StatusWord)
	if err == nil && b.TaskID == "" {
		err = errors.New("a task without BackupTaskId")
	}
	return b, err
}

// snapshots decodes one that is the same as the one before, as they mostly are, only once.
type snapshots struct {
	raw     []byte
	decoded *InstanceSnapshot
}

func (s *snapshots) decode(d *decoder) (*InstanceSnapshot, error) {
	raw, err := d.raw()
	if err != nil || s.decoded != nil && bytes.Equal(raw, s.raw) {
		return s.decoded, err
	}
	s.raw = raw
	s.decoded, err = decodeSnapshot(newDecoder(raw))
	return s.decoded, err
}

func decodeSnapshot(d *decoder) (*InstanceSnapshot, error) {
	if d.PeekKind() != '{' {
		return nil, d.SkipValue()
	}
	s := &InstanceSnapshot{}
	return s, eachMember(d, func(name string) error {
		switch name {
		case "InstanceName":
			return set(d, &s.InstanceName)
		case "Version":
			return set(d, &s.Version)
		case "MinorVersion":
			return set(d, &s.MinorVersion)
		case "RunMode":
			return set(d, &s.RunMode)
		case "SpecType":
			return set(d, &s.SpecType)
		case "VpcId":
			return set(d, &s.VpcID)
		case "ResourceGroupId":
			return set(d, &s.ResourceGroupID)
		default:
			return d.SkipValue()
		}
	})
}

func decodeSubTask(d *decoder) (SubTask, error) {
	s := SubTask{Status: StatusUnknown, Bytes: math.NaN()}
	return s, eachMember(d, func(name string) (err error) {
		var n float64
		var word string
		switch name {
		case "DataBase":
			err = set(d, &s.Database)
		case "Table":
			err = set(d, &s.Table)
		case "Status":
			err = set(d, &word)
			s.Status = parseStatus(word)
		case "StartTime":
			n, err = number(d)
			s.Start = epoch(n)
		case "FinishedTime":
			n, err = number(d)
			s.Finish = epoch(n)
		case "Size":
			n, err = number(d)
			s.Bytes = bytesOfGiB(n)
		default:
			err = d.SkipValue()
		}
		return err
	})
}
