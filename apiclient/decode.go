package apiclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// page is one answer of DescribeBackups: the envelope, or the gateway's error, which has Code and Message instead.
type page struct {
	success   *bool // nil: no envelope
	code      string
	message   string
	requestID string
	action    string // AccessDeniedDetail.AuthAction
	total     int
	backups   []Backup
}

// decoder is a token stream over input, which it needs whole to hand out parts of it.
type decoder struct {
	*jsontext.Decoder
	input []byte
}

// codeIsSuccess reports whether ErrCode does not contradict Success.
func (p *page) codeIsSuccess() bool { return p.code == "" || strings.EqualFold(p.code, "Success") }

func newDecoder(input []byte) *decoder {
	// Names may hold bytes that are not UTF-8: they become U+FFFD.
	// Telling duplicate members apart would cost a map per object.
	return &decoder{
		jsontext.NewDecoder(bytes.NewBuffer(input), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)),
		input,
	}
}

// decodePage decodes a whole body. It is an error where the body is not exactly one JSON object, or a part that counts
// has another shape; oddities elsewhere are passed over. The Data of a failure does not count.
func decodePage(body []byte) (*page, error) {
	p, err := decodeEnvelope(body, (*page).decodeData)
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

func (p *page) decodeData(d *decoder) error {
	p.backups = nil
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	return eachElement(d, func() error {
		b, err := decodeBackup(d)
		p.backups = append(p.backups, b)
		return err
	})
}

func decodeBackup(d *decoder) (Backup, error) {
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
			b.Instance, err = decodeSnapshot(d)
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

// eachMember reads one object and calls member with each name; member reads the value.
func eachMember(d *decoder, member func(name string) error) error {
	return each(d, '{', '}', func() error {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		return member(name.String())
	})
}

// eachElement reads one array and calls element for each of its values; element reads it.
func eachElement(d *decoder, element func() error) error {
	return each(d, '[', ']', element)
}

func each(d *decoder, opening, closing jsontext.Kind, one func() error) error {
	if k := d.PeekKind(); k != opening && k != 0 { // 0: ReadToken says what is wrong
		return fmt.Errorf("%v where %v belongs, at byte %d", k, opening, d.InputOffset())
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != closing {
		if err := one(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// text reads a string, or a number as it is written; null, "null" and anything else is empty.
func text(d *decoder) (string, error) {
	switch d.PeekKind() {
	case '"', '0':
		t, err := d.ReadToken()
		if s := t.String(); err == nil && s != "null" {
			return s, nil
		}
		return "", err
	default:
		return "", d.SkipValue()
	}
}

func set(d *decoder, to *string) (err error) {
	*to, err = text(d)
	return err
}

// number reads a number, also one written as a string; anything else is NaN.
func number(d *decoder) (float64, error) {
	s, err := text(d)
	if err != nil {
		return math.NaN(), err
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		return math.NaN(), nil
	}
	return n, nil
}

// boolean reads true or false, also as a string; anything else is nil.
func boolean(d *decoder) (*bool, error) {
	if k := d.PeekKind(); k == 't' || k == 'f' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		b := t.Bool()
		return &b, nil
	}
	s, err := text(d)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(s) {
	case "true", "false":
		b := strings.EqualFold(s, "true")
		return &b, nil
	default:
		return nil, nil
	}
}

// rawArray keeps an array as it stands in the input. Null and a string are no list.
func rawArray(d *decoder) (jsontext.Value, error) {
	if d.PeekKind() != '[' {
		return nil, d.SkipValue()
	}
	v, err := d.ReadValue() // valid until the next read only, unlike the input
	end := d.InputOffset()
	return d.input[end-int64(len(v)) : end], err
}
