package flight

import (
	"context"
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/protobuf/types/known/timestamppb"

	"chronicle/server/errmap"
	"chronicle/server/request"
)

// service implements the Flight calls. Errors leave it as they are: the guard
// gives them their gRPC code.
type service struct {
	flight.BaseFlightServer
	Config
	tickets *tickets
}

// GetFlightInfo gives the schema of what a descriptor asks for, and the ticket
// with which to get it.
func (s *service) GetFlightInfo(ctx context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	r, err := s.resolve(ctx, d)
	if err != nil {
		return nil, err
	}
	return s.info(ctx, r, d)
}

// GetSchema gives the schema alone.
func (s *service) GetSchema(ctx context.Context, d *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	r, err := s.resolve(ctx, d)
	if err != nil {
		return nil, err
	}
	schema, err := s.schema(ctx, r)
	if err != nil {
		return nil, err
	}
	return &flight.SchemaResult{Schema: flight.SerializeSchema(schema, memory.DefaultAllocator)}, nil
}

// resolve reads a descriptor and checks everything that can be checked without
// reading data.
func (s *service) resolve(ctx context.Context, d *flight.FlightDescriptor) (*request.Request, error) {
	r, err := parse(d)
	if err != nil {
		return nil, err
	}
	return r, r.Resolve(ctx, s.Archive)
}

func parse(d *flight.FlightDescriptor) (*request.Request, error) {
	switch d.GetType() {
	case flight.DescriptorPATH:
		return request.FromPath(d.GetPath())
	case flight.DescriptorCMD:
		return request.ParseCommand(d.GetCmd())
	}
	return nil, errmap.Invalid("descriptor", d.GetType().String(), "PATH or CMD", "the descriptor is of no known type")
}

// schema gives the columns of a request's answer.
func (s *service) schema(ctx context.Context, r *request.Request) (*arrow.Schema, error) {
	if r.IsBook() {
		q, price, err := r.Book()
		if err != nil {
			return nil, err
		}
		return s.Archive.BookSchema(q.Depth, price), nil
	}
	q, err := r.Range()
	if err != nil {
		return nil, err
	}
	return s.Archive.RangeSchema(ctx, q)
}

// info describes the answer to a resolved request.
func (s *service) info(ctx context.Context, r *request.Request, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	schema, err := s.schema(ctx, r)
	if err != nil {
		return nil, err
	}
	ticket, expires, err := s.tickets.issue(r)
	if err != nil {
		return nil, err
	}
	records := int64(-1) // not known before it is read
	if r.IsBook() {
		records = 1
	}
	return &flight.FlightInfo{
		Schema:           flight.SerializeSchema(schema, memory.DefaultAllocator),
		FlightDescriptor: d,
		Endpoint: []*flight.FlightEndpoint{{
			Ticket:         &flight.Ticket{Ticket: ticket},
			Location:       []*flight.Location{{Uri: s.Advertise}},
			ExpirationTime: timestamppb.New(expires),
		}},
		TotalRecords: records,
		TotalBytes:   -1,
		Ordered:      true,
	}, nil
}

// DoGet streams what a ticket stands for.
func (s *service) DoGet(t *flight.Ticket, stream flight.FlightService_DoGetServer) error {
	r, err := s.tickets.redeem(t.GetTicket())
	if err != nil {
		return err
	}
	if r.IsBook() {
		return s.sendBook(r, stream)
	}
	return s.sendRange(r, stream)
}

func (s *service) sendBook(r *request.Request, stream flight.FlightService_DoGetServer) error {
	q, price, err := r.Book()
	if err != nil {
		return err
	}
	book, err := s.Archive.BookAt(stream.Context(), q)
	if err != nil {
		return err
	}
	row := book.Record(memory.DefaultAllocator, price, q.Depth)
	defer row.Release()
	out := s.open(stream, row.Schema())
	if err := out.write(row); err != nil {
		return err
	}
	return out.close()
}

func (s *service) sendRange(r *request.Request, stream flight.FlightService_DoGetServer) error {
	q, err := r.Range()
	if err != nil {
		return err
	}
	rows, err := s.Archive.Range(stream.Context(), q)
	if err != nil {
		return err
	}
	defer rows.Release()
	out := s.open(stream, rows.Schema())
	for rows.Next() {
		if err := out.write(rows.RecordBatch()); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("after %s rows: %w", strconv.FormatInt(out.rows, 10), err)
	}
	return out.close()
}
